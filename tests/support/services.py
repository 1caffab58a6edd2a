"""Marketplaces that share an installation: each has a service of its own, a key, and the phones of its people."""

import json
from typing import Any

from django.test import Client
from rest_framework.test import APIClient

from conversations.models import InboundMessage, OutboundMessage
from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service, ServiceText
from smsproxy.webhook_urls import INBOUND_SMS_PATH
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB
from tests.support.signing import signed_inbound

BLOCKS = "/api/v1/blocks/"


class Marketplace:
    """A service with a key. texts: its own, by kind, in any language."""

    def __init__(self, name: str, *, texts: dict[str, str] | None = None, **columns: Any) -> None:
        self.service = Service.objects.create(name=name, **columns)
        for kind, text in (texts or {}).items():
            self.add_text(kind, text)
        self.api = self.client()

    def add_text(self, kind: str, text: str, language: str = "") -> None:
        ServiceText.objects.create(service=self.service, kind=kind, text=text, language=language)

    def client(self, name: str = "backend", scopes: str = "read write") -> APIClient:
        """Return a client with a new key of this service."""
        _, key = ApiKey.objects.issue(name, service=self.service, scopes=scopes)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
        return client

    def try_to_talk(self, *numbers: str, **options: Any) -> Any:
        """Ask for a conversation, by default of Alice and Bob and without confirmations. Return the answer."""
        labels = ["Alice", "Bob", "Charlie"]
        people = [
            {"number": number, "label": label} for number, label in zip(numbers or (ALICE, BOB), labels, strict=False)
        ]
        return self.api.post(URL, {"participants": people, "notify": False, **options})

    def talk(self, *numbers: str, **options: Any) -> dict[str, Any]:
        """Create a conversation, and return it."""
        answer = self.try_to_talk(*numbers, **options)
        assert answer.status_code == 201, answer.content
        created: dict[str, Any] = answer.json()
        return created

    def block(self, number: str = ALICE, **options: Any) -> Any:
        """Ask for a block. Return the answer."""
        return self.api.post(BLOCKS, {"number": number, "reason": "threats", **options})


def proxies_of(conversation: dict[str, Any]) -> list[str]:
    """Return the proxy numbers of a conversation of the API, in order."""
    return [each["proxy_number"] for each in conversation["participants"]]


def write(sender: str, to: str, words: str = "hello") -> str:
    """Send a text from a phone to a virtual number, through the webhook. Return its outcome."""
    name = f"text-{InboundMessage.objects.count() + 1}"
    body = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=name)
    answer = Client().post(f"/{INBOUND_SMS_PATH}", json.dumps(body), content_type="application/json")
    assert answer.status_code == 200, answer.content
    return InboundMessage.objects.get(carrier_message_id=name).outcome


def texts_to(number: str) -> list[str]:
    """Return the texts that were queued for a person, in order."""
    return [each.text for each in OutboundMessage.objects.order_by("pk") if each.recipient.number == number]

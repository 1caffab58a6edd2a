"""A marketplace, its people and the carrier, who use the product by HTTP only, and what each of them should see."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from tests.support.signing import signed_inbound, signed_receipt

API = "/api/v1"


@dataclass
class Member:
    """A participant, as the model expects the API to show them."""

    position: int
    number: str
    proxy_number: str
    one_way: bool = False


@dataclass
class Talk:
    """A conversation, as the model expects the API to show it.

    messages: the ids of its texts, in order. events: its events that are certain, in order, as `in_brief` has them.
    """

    id: str
    reference: str
    members: dict[int, Member]
    is_open: bool = True
    texts: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


def in_brief(event: dict[str, Any]) -> str:
    """Return an event's type, its participant and the fields that it names: `participant.changed 1 number`."""
    data = event["data"]
    words = [event["type"]]
    if event["type"].startswith("participant."):
        words.append(str(data["participant"]))
    return " ".join([*words, *sorted(data.get("changed", []))])


class Marketplace:
    """Calls the API with one key, and checks what every answer has in common."""

    def __init__(self, key: str) -> None:
        self._client = Client()
        self._key = key

    def call(self, method: str, path: str, body: Any = None, *, expect: Iterable[int], **headers: str) -> Any:
        """Return the answer's body. Fail if its status is not expected, or an error is not a complete problem."""
        options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {self._key}", **headers}}
        if body is not None:
            options |= {"data": json.dumps(body), "content_type": "application/json"}
        answer = self._client.generic(method, f"{API}{path}", **options)
        found: Any = json.loads(answer.content) if answer.content else None
        assert answer.status_code in set(expect), (method, path, answer.status_code, found)
        assert answer["X-Request-ID"]
        if answer.status_code >= 400:
            assert found
            assert answer["Content-Type"] == "application/problem+json"
            assert found["status"] == answer.status_code
            assert found["type"].endswith(f"/{found['code']}/")
            assert found["detail"]
        self.headers = answer.headers
        return found


class Vonage:
    """Posts signed webhooks, as the carrier does."""

    def __init__(self) -> None:
        self._client = Client()
        self._count = 0

    def text(self, sender: str, to: str, words: str) -> None:
        self._count += 1
        fields = {"msisdn": sender[1:], "to": to[1:], "text": words, "messageId": f"life-{id(self)}-{self._count}"}
        self._post("inbound-sms", signed_inbound(**fields))

    def deliver(self, carrier_message_id: str) -> None:
        self._post("delivery-receipt", signed_receipt(messageId=carrier_message_id, client_ref=None))

    def _post(self, path: str, params: dict[str, str]) -> None:
        answer = self._client.post(f"/webhooks/vonage/{path}", json.dumps(params), content_type="application/json")
        assert answer.status_code == 200, answer.content

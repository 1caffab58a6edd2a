"""Post messages and receipts of the simulated network to our webhooks, signed as Vonage signs.

It calls our own WSGI application without a socket, so it works in a server, a worker, a command or a test.
"""

import json
import uuid
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.util import setup_testing_defaults

from django.core.handlers.wsgi import WSGIHandler

from smsproxy.carriers.base import InboundText, Receipt
from smsproxy.carriers.gsm7 import split
from smsproxy.carriers.vonage.webhooks import write_inbound, write_receipt
from smsproxy.webhook_urls import delivery_receipt_url

from .models import Direction, FaultKind, SimulatedFault, SimulatedHandset, SimulatedNumber, SimulatedText, Verb


class WebhookNotDelivered(Exception):
    """Our webhook did not accept a message or a receipt. The text says why, without a number or a text."""


def send_from_handset(handset: SimulatedHandset, virtual_number: str, text: str) -> SimulatedText:
    """Send a text from this phone to an E.164 number: post it to that number's webhook.

    Raise WebhookNotDelivered if the webhook did not accept it. Then the phone does not show it as sent.
    """
    number = SimulatedNumber.objects.filter(number=virtual_number).first()
    if number is None:
        raise WebhookNotDelivered("the account does not rent this number: expected one of its own")
    if not number.webhook_url:
        raise WebhookNotDelivered("this number has no webhook for its messages: run manage.py configure_numbers")
    typed = handset.texts.create(
        direction=Direction.FROM_HANDSET, virtual_number=virtual_number, text=text, carrier_message_id=new_message_id()
    )
    times = 2 if SimulatedFault.objects.take(Verb.RECEIVE) == FaultKind.DUPLICATE_INBOUND else 1
    try:
        for part in _parts(typed, handset.number):
            for _ in range(times):
                _post(number.webhook_url, write_inbound(part))
    except WebhookNotDelivered:
        typed.delete()
        raise
    return typed


def _parts(typed: SimulatedText, sender: str) -> Iterator[InboundText]:
    """Yield the SMS of a text. The phone numbers the parts of a long one and gives them the same group."""
    texts = split(typed.text)
    for part, text in enumerate(texts, start=1):
        yield InboundText(
            carrier_message_id=typed.carrier_message_id if part == 1 else new_message_id(),
            sender=sender,
            recipient=typed.virtual_number,
            text=text,
            sent_at=typed.created_at,
            concat_ref=str(typed.pk % 256) if len(texts) > 1 else "",
            part=part,
            parts=len(texts),
        )


def pass_receipt(receipt: Receipt, *, sender: str, recipient: str) -> None:
    """Post a delivery receipt to our webhook. Raise WebhookNotDelivered."""
    _post(delivery_receipt_url(), write_receipt(receipt, sender=sender, recipient=recipient))


def new_message_id() -> str:
    return uuid.uuid4().hex.upper()


def _post(url: str, params: dict[str, str]) -> None:
    """Post the parameters as JSON. Raise WebhookNotDelivered unless the answer is 200."""
    response = _site()(_environ(url, json.dumps(params).encode()), lambda *args: lambda data: None)
    response.close()
    if response.status_code != 200:
        raise WebhookNotDelivered(
            f"the webhook answered {response.status_code}: expected 200. Is the host of PUBLIC_URL in ALLOWED_HOSTS?"
        )


def _environ(url: str, body: bytes) -> dict[str, Any]:
    parts = urlsplit(url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),  # as WSGI requires
        "QUERY_STRING": parts.query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": parts.netloc,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": BytesIO(body),
    }
    setup_testing_defaults(environ)
    return environ


@cache
def _site() -> WSGIHandler:
    """Return the site, created on first use because it reads the middleware of the settings."""
    return WSGIHandler()

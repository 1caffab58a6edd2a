"""How the simulated network reaches our webhooks: a call of our own WSGI application, signed as Vonage signs.

There is no socket, so it works within a server, a worker, a command or a test alike.
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
    """The network could not give something to our webhook. Says why, without a number or a text."""


def send_from_handset(handset: SimulatedHandset, virtual_number: str, text: str) -> SimulatedText:
    """The owner of this phone types a text to an E.164 number: the network posts it where that number points.

    Raises WebhookNotDelivered: it went nowhere, and the phone does not show it as sent.
    """
    number = SimulatedNumber.objects.filter(number=virtual_number).first()
    if number is None:
        raise WebhookNotDelivered("the account does not rent this number: expected one of its own")
    if not number.webhook_url:
        raise WebhookNotDelivered(
            "this number has no webhook, so its texts go nowhere: run manage.py configure_numbers"
        )
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
    """What the network carries: a long text goes in several SMS, and the phone numbers them and says what is one."""
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
    """Tell us what became of a part of a text. Raises WebhookNotDelivered."""
    _post(delivery_receipt_url(), write_receipt(receipt, sender=sender, recipient=recipient))


def new_message_id() -> str:
    return uuid.uuid4().hex.upper()


def _post(url: str, params: dict[str, str]) -> None:
    """Raises WebhookNotDelivered unless the answer is 200."""
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
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),  # as WSGI has it
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
    """Made on first use: it reads the middleware of the settings."""
    return WSGIHandler()

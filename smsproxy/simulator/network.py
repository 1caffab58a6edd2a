"""Post messages and receipts of the simulated network to our webhooks, signed as Vonage signs.

It calls our own WSGI application without a socket, so it works in a server, a worker, a command or a test. What a
fault delays is stored, and posted by `post_due`, which the phones page and each send call.
"""

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.util import setup_testing_defaults

from django.core.handlers.wsgi import WSGIHandler
from django.utils import timezone

from smsproxy.carriers.base import InboundText, Receipt, ReceiptStatus
from smsproxy.carriers.gsm7 import split
from smsproxy.carriers.vonage.webhooks import write_inbound, write_receipt
from smsproxy.webhook_urls import delivery_receipt_url

from .models import (
    DELAY,
    DelayedPost,
    Direction,
    FaultKind,
    SimulatedFault,
    SimulatedHandset,
    SimulatedNumber,
    SimulatedText,
    Verb,
)

log = logging.getLogger(__name__)


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
    fault = SimulatedFault.objects.take(Verb.RECEIVE)
    typed = handset.texts.create(
        direction=Direction.FROM_HANDSET,
        virtual_number=virtual_number,
        text=text,
        carrier_message_id=new_message_id(),
        fault=fault or "",
    )
    try:
        _carry(list(_parts(typed, handset.number)), number.webhook_url, fault)
    except WebhookNotDelivered:
        typed.delete()
        raise
    return typed


def _carry(parts: list[InboundText], url: str, fault: FaultKind | None) -> None:
    """Post the parts of one text as this fault has them arrive. Raise WebhookNotDelivered."""
    if fault == FaultKind.LATE_PART and len(parts) > 1:
        first, *others = parts
        for part in reversed(others):
            _post(url, write_inbound(part))
        _post_later(url, {"message": asdict(first)})
        return
    times = 2 if fault == FaultKind.DUPLICATE_INBOUND else 1
    for part in parts:
        for _ in range(times):
            _post(url, write_inbound(part))


def _parts(typed: SimulatedText, sender: str) -> Iterator[InboundText]:
    """Yield the SMS of a text. The phone numbers the parts of a long one and gives them the same group."""
    texts = split(typed.text)
    if typed.fault == FaultKind.LATE_PART and len(texts) == 1 and len(typed.text) > 1:
        middle = len(typed.text) // 2
        texts = [typed.text[:middle], typed.text[middle:]]
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


def pass_receipt_later(receipt: Receipt, *, sender: str, recipient: str) -> None:
    """Store a delivery receipt that reaches our webhook after DELAY."""
    _post_later(delivery_receipt_url(), {"receipt": asdict(receipt), "sender": sender, "recipient": recipient})


def post_due() -> None:
    """Post what the network has delayed until now. A post that the webhook rejects is due again later."""
    while post := DelayedPost.objects.take_due(timezone.now()):
        try:
            _post(post.url, _signed(json.loads(post.body)))
        except WebhookNotDelivered as error:
            log.warning("a delayed post of the simulated network was rejected: %s", error)
        else:
            post.delete()


def _post_later(url: str, what: dict[str, Any]) -> None:
    DelayedPost.objects.create(
        due_at=timezone.now() + DELAY, url=url, body=json.dumps(what, default=datetime.isoformat)
    )


def _signed(what: dict[str, Any]) -> dict[str, str]:
    """Return the webhook of a stored message or receipt, signed now: an old signature would be rejected."""
    if "message" in what:
        message = InboundText(**what["message"])
        sent_at = datetime.fromisoformat(what["message"]["sent_at"])
        return write_inbound(replace(message, sent_at=sent_at))
    status = ReceiptStatus(what["receipt"].pop("status"))
    receipt = Receipt(**what["receipt"], status=status)
    return write_receipt(receipt, sender=what["sender"], recipient=what["recipient"])


def new_message_id() -> str:
    """Return a message id as the carrier makes them."""
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

"""Vonage's webhooks as verbs of the carrier interface: verified by their signature, then parsed.

They need none of the SDK, so that the simulator can speak as Vonage does.
"""

import json
import uuid
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl

from django.conf import settings

from smsproxy.carriers import old_secret
from smsproxy.carriers.base import BadSignature, Carrier, InboundText, Receipt, ReceiptStatus, WebhookRequest
from smsproxy.carriers.vonage import webhooks
from smsproxy.carriers.vonage.signature import collect, verify

_MAX_FIELDS = 100
# Vonage signs and stamps each attempt to send the same webhook.
_CHANGES_EACH_TIME = frozenset({"sig", "timestamp", "nonce"})


class VonageWebhooks(Carrier):
    """The part of a carrier that reads webhooks, for Vonage and for all that signs and speaks like Vonage."""

    # The recipient's phone is off, out of reach or busy (2, 7), the number is dead (3), the person bars texts (4), has
    # opted out (9), is too young (13) or has no credit (15).
    recipient_fault_codes: ClassVar[frozenset[str]] = frozenset({"2", "3", "4", "7", "9", "13", "15"})
    # In the answer to a send, 9 means something else: see faults.py.
    opted_out_codes: ClassVar[frozenset[str]] = frozenset({"9"})

    def read_webhook(self, request: WebhookRequest) -> dict[str, str]:
        params = _read(request)
        if settings.VONAGE_SIGNATURE_SECRETS or not settings.ALLOW_UNSIGNED_WEBHOOKS:
            used = verify(
                params,
                secrets=settings.VONAGE_SIGNATURE_SECRETS,
                method=settings.VONAGE_SIGNATURE_METHOD,
                max_age=settings.WEBHOOK_MAX_AGE_SECONDS,
            )
            if used:
                old_secret.note_use()
        return params

    def parse_inbound(self, params: Mapping[str, str]) -> InboundText:
        return webhooks.parse_inbound(params)

    def parse_receipt(self, params: Mapping[str, str]) -> Receipt:
        return webhooks.parse_receipt(params)

    def harmless_receipt(self) -> dict[str, str]:
        message_id = f"smsproxy-doctor-{uuid.uuid4().hex}"
        receipt = Receipt(carrier_message_id=message_id, client_ref="", status=ReceiptStatus.UNKNOWN)
        return webhooks.write_receipt(receipt, sender="", recipient="")

    def webhook_content(self, params: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in params.items() if key != "sig"}

    def webhook_identity(self, params: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in params.items() if key not in _CHANGES_EACH_TIME}


def _read(request: WebhookRequest) -> dict[str, str]:
    """Return the parameters of a GET from its query, of a POST from its body, never mixed. Raise BadSignature."""
    if request.method == "GET":
        return _read_form(request.query.encode("latin-1", "replace"))
    if request.content_type != "application/json":
        return _read_form(request.body)
    try:
        params = json.loads(request.body, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        raise BadSignature("unreadable") from None
    if not isinstance(params, dict):
        raise BadSignature("unreadable")
    return params


def _read_form(encoded: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            encoded.decode("ascii", "replace"), keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise BadSignature("unreadable") from None
    return collect(pairs)

"""Vonage's webhooks, read and written: the parameters on one side, our value objects on the other.

After "Inbound SMS" and "Delivery receipts" in Vonage's SMS API reference. They are written here too, because the
simulator and the tests speak to our webhooks as Vonage does, signature and all.
"""

import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from django.conf import settings

from smsproxy.carriers import gsm7
from smsproxy.carriers.base import InboundText, Receipt, ReceiptStatus
from smsproxy.carriers.vonage.signature import sign

_ID = re.compile(r"[\x21-\x7e]{1,64}")
_CLIENT_REF = re.compile(r"[\x21-\x7e]{0,100}")
_ERROR_CODE = re.compile(r"[0-9A-Za-z-]{1,20}")
_NETWORK = re.compile(r"[0-9A-Za-z]{1,10}")
_DIGITS = re.compile(r"[1-9][0-9]{6,14}")
_GROUP = re.compile(r"[0-9A-Za-z]{1,20}")
_COUNT = re.compile(r"[0-9]{1,3}")
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"  # UTC

_STATUSES = {
    "accepted": ReceiptStatus.ACCEPTED,
    "buffered": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "expired": ReceiptStatus.UNDELIVERED,
    "failed": ReceiptStatus.UNDELIVERED,
    "rejected": ReceiptStatus.UNDELIVERED,
    # Some networks' own words, which Vonage passes on.
    "undelivered": ReceiptStatus.UNDELIVERED,
    "deleted": ReceiptStatus.UNDELIVERED,
}
_WORDS = {
    ReceiptStatus.ACCEPTED: "accepted",
    ReceiptStatus.DELIVERED: "delivered",
    ReceiptStatus.UNDELIVERED: "failed",
    ReceiptStatus.UNKNOWN: "unknown",
}

# Of the error codes of receipts, those that say nothing against the number that sent: the person's phone is off, out of
# reach or busy (2, 7), their number is dead (3), they bar texts (4) or have opted out (9), they are too young (13), or
# have no credit (15).
RECIPIENT_FAULT_CODES: Final = frozenset({"2", "3", "4", "7", "9", "13", "15"})


class Undecodable(ValueError):
    """The webhook is not of the shape that Vonage documents. `reason` holds neither numbers nor texts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_inbound(params: Mapping[str, str]) -> InboundText:
    _check_account(params)
    message_id = _message_id(params)
    if params.get("type") == "binary":
        raise Undecodable("a binary message")
    if "text" not in params:
        if "status" in params:
            raise Undecodable("a delivery receipt at the address for texts: are the webhook addresses swapped?")
        raise Undecodable("no text")
    group, part, parts = _place(params)
    return InboundText(
        carrier_message_id=message_id,
        # A sender that is not a number is a name, such as "PARCELS": nobody can answer it.
        sender=_number(params.get("msisdn", "")),
        recipient=_recipient(params),
        text=_valid_unicode(params["text"]),
        sent_at=_time(params.get("message-timestamp", "")),
        concat_ref=group,
        part=part,
        parts=parts,
    )


def parse_receipt(params: Mapping[str, str]) -> Receipt:
    _check_account(params)
    message_id = _message_id(params)
    if "status" not in params:
        if "text" in params:
            raise Undecodable("a text at the address for delivery receipts: are the webhook addresses swapped?")
        raise Undecodable("no status")
    client_ref = params.get("client-ref", "")
    if not _CLIENT_REF.fullmatch(client_ref):
        raise Undecodable("a client-ref that is not ours")
    error_code, network = params.get("err-code", ""), params.get("network-code", "")
    return Receipt(
        carrier_message_id=message_id,
        client_ref=client_ref,
        status=_STATUSES.get(params["status"].lower(), ReceiptStatus.UNKNOWN),
        error_code=error_code if error_code != "0" and _ERROR_CODE.fullmatch(error_code) else "",
        network=network if _NETWORK.fullmatch(network) else "",
    )


def write_inbound(text: InboundText) -> dict[str, str]:
    """The webhook that Vonage would send for this text, signed now."""
    params = {
        "msisdn": _digits(text.sender) if text.sender else "UNKNOWN",
        "to": _digits(text.recipient),
        "messageId": text.carrier_message_id,
        "text": text.text,
        "type": "text" if gsm7.is_gsm7(text.text) else "unicode",
        "keyword": next(iter(text.text.split()), "").upper(),
    }
    if text.parts > 1:
        params |= {
            "concat": "true",
            "concat-ref": text.concat_ref,
            "concat-total": str(text.parts),
            "concat-part": str(text.part),
        }
    return _sealed(params, text.sent_at)


def write_receipt(receipt: Receipt, *, sender: str, recipient: str) -> dict[str, str]:
    """The webhook that Vonage would send for this receipt, signed now. sender, recipient: those of the text."""
    params = {
        # The other way round than in a webhook for a text: msisdn is always the person.
        "msisdn": _digits(recipient),
        "to": _digits(sender),
        "messageId": receipt.carrier_message_id,
        "status": _WORDS[receipt.status],
        "err-code": receipt.error_code or "0",
    }
    if receipt.network:
        params["network-code"] = receipt.network
    if receipt.client_ref:
        params["client-ref"] = receipt.client_ref
    return _sealed(params, None)


def _sealed(params: dict[str, str], sent_at: datetime | None) -> dict[str, str]:
    params |= {
        "api-key": settings.VONAGE_API_KEY,
        "message-timestamp": (sent_at or datetime.now(UTC)).astimezone(UTC).strftime(_TIME_FORMAT),
        "timestamp": str(int(time.time())),
        "nonce": str(uuid.uuid4()),
    }
    if settings.VONAGE_SIGNATURE_SECRETS:
        params["sig"] = sign(params, settings.VONAGE_SIGNATURE_SECRETS[0], settings.VONAGE_SIGNATURE_METHOD)
    return params


def _check_account(params: Mapping[str, str]) -> None:
    """Several accounts can point at one address. The simulator has no account."""
    ours = settings.VONAGE_API_KEY if settings.CARRIER == "vonage" else ""
    if ours and params.get("api-key", ours) != ours:
        raise Undecodable("another account")


def _message_id(params: Mapping[str, str]) -> str:
    # "message-id" is how the answer to a send, and some receipts, spell it.
    message_id = params.get("messageId") or params.get("message-id") or ""
    if not _ID.fullmatch(message_id):
        raise Undecodable("no message id" if not message_id else "a message id of an odd form")
    return message_id


def _recipient(params: Mapping[str, str]) -> str:
    recipient = _number(params.get("to", ""))
    if recipient is None:
        raise Undecodable("a recipient that is not a number")
    return recipient


def _number(digits: str) -> str | None:
    return f"+{digits}" if _DIGITS.fullmatch(digits) else None


def _digits(number: str) -> str:
    return number.removeprefix("+")


def _place(params: Mapping[str, str]) -> tuple[str, int, int]:
    """Group, part and parts of a long message. Nonsense makes it a whole message: better odd than lost."""
    group, part, parts = (params.get(f"concat-{name}", "") for name in ("ref", "part", "total"))
    if (
        params.get("concat", "").lower() == "true"
        and _GROUP.fullmatch(group)
        and _COUNT.fullmatch(part)
        and _COUNT.fullmatch(parts)
        and 1 <= int(part) <= int(parts) <= 255
        and int(parts) > 1
    ):
        return group, int(part), int(parts)
    return "", 1, 1


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _valid_unicode(text: str) -> str:
    """Halves of surrogate pairs, which JSON can carry, cannot be stored or sent on: each becomes U+FFFD."""
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")

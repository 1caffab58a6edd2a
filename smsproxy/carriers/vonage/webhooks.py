"""Conversion between the parameters of Vonage's webhooks and our value objects, in both directions.

It follows "Inbound SMS" and "Delivery receipts" in Vonage's SMS API reference. The simulator and the tests write signed
webhooks with it.
"""

import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from django.conf import settings

from smsproxy.carriers import gsm7
from smsproxy.carriers.base import InboundText, Receipt, ReceiptStatus, Undecodable
from smsproxy.carriers.vonage.signature import sign

_ID = re.compile(r"[\x21-\x7e]{1,64}")
_CLIENT_REF = re.compile(r"[\x21-\x7e]{0,100}")
_ERROR_CODE = re.compile(r"[0-9A-Za-z-]{1,20}")
_NETWORK = re.compile(r"[0-9A-Za-z]{1,10}")
_DIGITS = re.compile(r"[1-9][0-9]{6,14}")
_GROUP = re.compile(r"[0-9A-Za-z]{1,20}")
_COUNT = re.compile(r"[0-9]{1,3}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")  # UTC
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

_STATUSES = {
    # Only in the Reports API.
    "submitted": ReceiptStatus.ACCEPTED,
    "accepted": ReceiptStatus.ACCEPTED,
    "buffered": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "expired": ReceiptStatus.UNDELIVERED,
    "failed": ReceiptStatus.UNDELIVERED,
    "rejected": ReceiptStatus.UNDELIVERED,
    # Words of some networks, which Vonage passes on.
    "undelivered": ReceiptStatus.UNDELIVERED,
    "deleted": ReceiptStatus.UNDELIVERED,
}
_WORDS = {
    ReceiptStatus.ACCEPTED: "accepted",
    ReceiptStatus.DELIVERED: "delivered",
    ReceiptStatus.UNDELIVERED: "failed",
    ReceiptStatus.UNKNOWN: "unknown",
}


def parse_inbound(params: Mapping[str, str]) -> InboundText:
    """Return the inbound message of these parameters. Raise Undecodable."""
    _check_account(params)
    message_id = _message_id(params)
    if params.get("type") == "binary":
        raise Undecodable("a binary message")
    if "text" not in params:
        if "status" in params:
            raise Undecodable("a delivery receipt at the inbound webhook: are the webhook URLs swapped?")
        raise Undecodable("no text")
    group, part, parts = _place(params)
    return InboundText(
        carrier_message_id=message_id,
        # A sender that is not a number is a name, such as "PARCELS", to which no reply is possible.
        sender=_number(params.get("msisdn", "")),
        recipient=_recipient(params),
        text=_valid_unicode(params["text"]),
        sent_at=_time(params.get("message-timestamp", "")),
        concat_ref=group,
        part=part,
        parts=parts,
    )


def parse_receipt(params: Mapping[str, str]) -> Receipt:
    """Return the delivery receipt of these parameters. Raise Undecodable."""
    _check_account(params)
    message_id = _message_id(params)
    if "status" not in params:
        if "text" in params:
            raise Undecodable("an inbound message at the webhook for delivery receipts: are the webhook URLs swapped?")
        raise Undecodable("no status")
    client_ref = params.get("client-ref", "")
    if not _CLIENT_REF.fullmatch(client_ref):
        raise Undecodable("a client-ref that is not ours")
    network = params.get("network-code", "")
    return Receipt(
        carrier_message_id=message_id,
        client_ref=client_ref,
        status=read_status(params["status"]),
        error_code=read_error_code(params.get("err-code", "")),
        network=network if _NETWORK.fullmatch(network) else "",
    )


def read_status(word: str) -> ReceiptStatus:
    return _STATUSES.get(word.lower(), ReceiptStatus.UNKNOWN)


def read_error_code(code: str) -> str:
    """Return the code, "" for none and for one of an unknown form."""
    return code if code != "0" and _ERROR_CODE.fullmatch(code) else ""


def write_inbound(text: InboundText) -> dict[str, str]:
    """Return the webhook that Vonage would send for this message, signed now."""
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
    """Return the webhook that Vonage would send for this receipt, signed now. sender, recipient: of the message."""
    params = {
        # msisdn is always the person, who is the sender in an inbound webhook and the recipient here.
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
    """Raise Undecodable for a webhook of another account, which may use the same URL. The simulator has no account."""
    ours = settings.VONAGE_API_KEY if settings.CARRIER == "vonage" else ""
    if ours and params.get("api-key", ours) != ours:
        raise Undecodable("another account")


def _message_id(params: Mapping[str, str]) -> str:
    # The answer to a send and some receipts spell it "message-id".
    message_id = params.get("messageId") or params.get("message-id") or ""
    if not _ID.fullmatch(message_id):
        raise Undecodable("no message id" if not message_id else "a message id of an unknown form")
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
    """Return group, part and parts of a long message. Invalid values make it a whole message: no text is lost."""
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
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # For example the 30th of February.
        return None


def _valid_unicode(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which JSON can hold but no database can store."""
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")

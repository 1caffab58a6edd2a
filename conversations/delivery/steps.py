"""The steps of a message's way: one log line and, with tracing, one span for each.

A webhook receives it, a worker sends it, another webhook brings its receipt. All lines of one message have the same
inbound_id and the same message_ref, so that one search finds them in the logs of all processes. See docs/logging.md.
"""

import logging
from collections.abc import Sequence

from conversations.delivery.result import Result
from conversations.models import ApiMessage, Conversation, DeliveryReceipt, InboundMessage, OutboundMessage
from smsproxy import tracing
from smsproxy.carriers.base import SendReply, TemporaryFailure

log = logging.getLogger(__name__)


def log_received(
    *,
    inbound_id: int,
    outcome: str,
    carrier_message_id: str,
    conversation_id: int | None,
    conversation: Conversation | None = None,
    message_refs: Sequence[str] = (),
    long_message_id: int | None = None,
) -> None:
    """Log that an inbound message is stored.

    conversation: the open one that it belongs to, if any. message_refs: of the outbound messages that relay it.
    """
    fields: dict[str, object] = {
        "outcome": outcome,
        "inbound_id": inbound_id,
        "conversation_id": conversation_id,
        "conversation": str(conversation.public_id) if conversation else "",
        "long_message_id": long_message_id,
        "message_refs": message_refs,
        "carrier_message_id": carrier_message_id,
    }
    log.info("inbound message: %s", outcome, extra=fields)
    tracing.record_webhook("receive", fields)


def log_inbound(
    message: InboundMessage, *, conversation: Conversation | None = None, message_refs: Sequence[str] = ()
) -> None:
    """Log that this inbound message is stored, as `log_received` does."""
    log_received(
        inbound_id=message.pk,
        outcome=str(message.outcome),
        carrier_message_id=message.carrier_message_id,
        conversation_id=message.participant.conversation_id if message.participant else None,
        conversation=conversation,
        message_refs=message_refs,
        long_message_id=message.long_message_id,
    )


def log_repeated(carrier_message_id: str) -> None:
    """Log that the carrier repeated an inbound message that is stored already."""
    fields: dict[str, object] = {"outcome": "repeated", "carrier_message_id": carrier_message_id}
    log.info("inbound message: repeated, no effect", extra=fields)
    tracing.record_webhook("receive", fields)


def log_api_message(message: ApiMessage, *, message_refs: Sequence[str]) -> None:
    """Log that a message of the marketplace is stored. message_refs: of the outbound messages that send it."""
    fields: dict[str, object] = {
        "api_message_id": message.pk,
        "conversation_id": message.conversation_id,
        "conversation": str(message.conversation.public_id),
        "message_refs": message_refs,
    }
    log.info("message of the marketplace: queued", extra=fields)


def log_attempt(result: Result, seconds: float) -> None:
    """Log an attempt to send a message. seconds: spent on the call to the carrier."""
    answer, claimed = result.answer, result.claimed
    fields: dict[str, object] = {**claimed.log_fields, "seconds": round(seconds, 3)}
    if isinstance(answer, SendReply):
        refused = sorted({part.error_code for part in answer.parts if not part.accepted})
        outcome, detail = ("sent in part", "") if refused else ("sent", "")
        level = logging.WARNING if refused else logging.INFO
        ids = [part.carrier_message_id for part in answer.parts if part.accepted]
        fields |= {"outcome": outcome, "code": ",".join(refused), "carrier_message_id": ",".join(ids)}
    else:
        # A temporary failure is tried again. If more than this message must wait, a line of its own says so.
        outcome, detail = type(answer).__name__, f" ({answer.detail})"
        level = logging.INFO if isinstance(answer, TemporaryFailure) else logging.WARNING
        fields |= {"outcome": outcome, "code": answer.code}
    log.log(level, "outbound message: %s%s", outcome, detail, extra=fields)
    tracing.record_attempt(fields, queued_at=claimed.message.created_at, claimed_at=claimed.claimed_at, seconds=seconds)


def log_given_up(message: OutboundMessage, reason: str) -> None:
    """Log that a message is no longer tried, or that no worker knows its outcome."""
    log.warning("outbound message: %s (%s)", message.state, reason, extra=_fields_of(message))


def log_receipt(receipt: DeliveryReceipt) -> None:
    """Log a receipt, with its message if that is known."""
    fields = _fields_of(receipt.message) if receipt.message else {}
    fields |= {
        "message_ref": fields.get("message_ref") or receipt.client_ref.partition(".")[0],
        "carrier_message_id": receipt.carrier_message_id,
        "status": str(receipt.status),
        "code": receipt.error_code,
    }
    whose = "" if receipt.message else ", of a message that is not known yet"
    log.info("delivery receipt: %s%s", receipt.status, whose, extra=fields)
    tracing.record_webhook("receipt", fields)


def _fields_of(message: OutboundMessage) -> dict[str, object]:
    return {
        "inbound_id": message.inbound_id,
        "conversation_id": message.conversation_id,
        "message_ref": message.client_ref,
    }

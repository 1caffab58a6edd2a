"""Why a message did not reach a person: a class in plain words, and the carrier's code."""

from dataclasses import dataclass
from enum import StrEnum

from conversations.models import FailureReason, OutboundState, outbound_reasons
from conversations.models.outbound_counts import reason_of_receipt


class NotSentBecause(StrEnum):
    """The further classes, of messages that were cancelled."""

    BLOCKED = "blocked"
    """Its author was blocked, or the pair of its author and its recipient."""
    CANCELLED = "cancelled"
    """Staff decided not to send it, or its recipient left."""


@dataclass(frozen=True, kw_only=True)
class MessageError:
    """The class of an error, and the carrier's code, or "" if the carrier had no part in it."""

    kind: FailureReason | NotSentBecause
    code: str


def error_of(state: str, code: str, reason: str) -> MessageError | None:
    """Return why a message in this state did not arrive, or None. reason: of the event that led to the state."""
    match state:
        case OutboundState.UNDELIVERED:
            return MessageError(kind=reason_of_receipt(code), code=code)
        case OutboundState.FAILED:
            return MessageError(kind=_failure(code, reason), code=code)
        case OutboundState.CANCELLED if reason.startswith(outbound_reasons.OPTED_OUT):
            return MessageError(kind=FailureReason.OPTED_OUT, code=code)
        case OutboundState.CANCELLED:
            is_blocked = reason.startswith(outbound_reasons.BLOCKED)
            return MessageError(kind=NotSentBecause.BLOCKED if is_blocked else NotSentBecause.CANCELLED, code=code)
    return None


def _failure(code: str, reason: str) -> FailureReason:
    if reason.startswith(outbound_reasons.TOO_OLD):
        return FailureReason.EXPIRED
    if reason.startswith(outbound_reasons.OPTED_OUT):
        return FailureReason.OPTED_OUT
    return FailureReason.REFUSED if code else FailureReason.UNSENDABLE

"""Problems that answer a text which cannot be sent."""

from conversations.lifecycle.send_message import (
    CannotSend,
    ConversationEnded,
    HasOptedOut,
    IsBlocked,
    NoParticipant,
    OnHold,
    ReceivesOnly,
    SentToAuthor,
    TooLong,
)
from conversations.models.limit_usage import Refusal
from smsproxy.api.problems import Problem

SENDING_PROBLEMS = (
    "no_participant",
    "sent_to_author",
    "too_long",
    "conversation_ended",
    "on_hold",
    "opted_out",
    "blocked",
    "receives_only",
    "over_limit",
)


def cannot_send(error: CannotSend, *, most_segments: int) -> Problem:
    """Return the problem for this error."""
    match error:
        case TooLong(segments=count):
            detail = f"The text takes {count} SMS to each recipient. The most is {most_segments}."
            figures = {"segments": count, "max_segments": most_segments}
            errors = _errors(error, "too_long", detail)
            return Problem(400, "The text is too long", detail, code="too_long", errors=errors, extra=figures)
        case NoParticipant():
            detail = f"The conversation has no participant {error.position}."
            errors = _errors(error, "no_participant", detail)
            return Problem(400, "There is no such participant", detail, code="no_participant", errors=errors)
        case SentToAuthor():
            detail = f"Participant {error.position} is the author. Name only other participants in «to»."
            errors = _errors(error, "sent_to_author", detail)
            return Problem(400, "The author is among the recipients", detail, code="sent_to_author", errors=errors)
        case ConversationEnded():
            detail = "Nothing can be sent in a conversation that has ended. Reopen it, or create a new one."
            return Problem(409, "The conversation has ended", detail, code="conversation_ended")
        case OnHold():
            detail = "Nothing is sent in this conversation until its hold is released."
            return Problem(409, "The conversation is on hold", detail, code="on_hold")
        case HasOptedOut():
            detail = f"Participant {error.position} has opted out of all messages with STOP."
            errors, who = _errors(error, "opted_out", detail), {"participant": error.position}
            return Problem(409, "A participant has opted out", detail, code="opted_out", errors=errors, extra=who)
        case IsBlocked():
            detail = f"Participant {error.position} is blocked, so this text is not sent."
            errors, who = _errors(error, "blocked", detail), {"participant": error.position}
            return Problem(409, "A participant is blocked", detail, code="blocked", errors=errors, extra=who)
        case ReceivesOnly():
            detail = f"Participant {error.position} only receives messages. Nothing is sent in their name."
            errors, who = _errors(error, "receives_only", detail), {"participant": error.position}
            return Problem(
                409, "The participant only receives messages", detail, code="receives_only", errors=errors, extra=who
            )
    raise error


def limit_used_up(refusal: Refusal) -> Problem:
    """Return the problem for a text that is over a limit."""
    detail = f"The limit of {refusal.scope.label} is used up. Retry the request after {refusal.retry_after} seconds."
    return Problem(429, "A limit is used up", detail, code="over_limit", retry_after=refusal.retry_after)


def _errors(error: CannotSend, code: str, detail: str) -> list[dict[str, str]]:
    return [{"pointer": error.pointer, "code": code, "detail": detail}] if error.pointer else []

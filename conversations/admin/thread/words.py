"""What became of texts and of the conversation, in words for staff."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.insight.message_errors import MessageError, NotSentBecause
from conversations.insight.message_history import Recipient
from conversations.insight.staff_acts import Did, StaffAct
from conversations.models import (
    ConversationEvent,
    ConversationState,
    FailureReason,
    InboundOutcome,
    MessageKind,
    OutboundState,
)

ERRORS: Mapping[FailureReason | NotSentBecause, Any] = {
    FailureReason.REFUSED: gettext_lazy("the carrier refused it"),
    FailureReason.OPTED_OUT: gettext_lazy("the person has opted out"),
    FailureReason.RECIPIENT: gettext_lazy("the phone is off, full or not in service"),
    FailureReason.NETWORK: gettext_lazy("the network did not deliver it"),
    FailureReason.EXPIRED: gettext_lazy("it waited too long"),
    FailureReason.UNSENDABLE: gettext_lazy("we could not send it"),
    NotSentBecause.BLOCKED: gettext_lazy("its author is blocked"),
    NotSentBecause.CANCELLED: gettext_lazy("it was withdrawn"),
}

OUTCOMES: Mapping[str, Any] = {
    InboundOutcome.ENDED: gettext_lazy("Not passed on: the conversation had ended."),
    InboundOutcome.NO_ROUTE: gettext_lazy("Not passed on: no conversation had this pair of numbers."),
    InboundOutcome.TOO_LONG: gettext_lazy("Not passed on: it was too long."),
    InboundOutcome.EMPTY: gettext_lazy("Not passed on: it was empty."),
    InboundOutcome.KEYWORD: gettext_lazy("Not passed on: the keyword STOP, START or HELP. It was answered."),
    InboundOutcome.OPTED_OUT: gettext_lazy("Not passed on: the sender or everybody else had opted out."),
    InboundOutcome.BLOCKED: gettext_lazy("Not passed on: blocked."),
    InboundOutcome.LIMITED: gettext_lazy("Not passed on: over a limit."),
    InboundOutcome.HELD: gettext_lazy("Not passed on: the conversation was on hold."),
    InboundOutcome.ONE_WAY: gettext_lazy("Not passed on: this person only receives texts."),
    InboundOutcome.REACTION: gettext_lazy("Not passed on: a phone's reaction to another text."),
    InboundOutcome.LOOP: gettext_lazy("Not passed on: it came from one of our own numbers."),
    InboundOutcome.UNDECODABLE: gettext_lazy("Not passed on: it could not be read."),
}

KINDS: Mapping[str, Any] = {
    MessageKind.NOTICE: gettext_lazy("Notice"),
    MessageKind.CONFIRMATION: gettext_lazy("Confirmation"),
    MessageKind.KEYWORD_ANSWER: gettext_lazy("Answer to a keyword"),
}


@dataclass(frozen=True)
class Fate:
    """What became of a text for one recipient: words, the time that follows them, and what follows the time.

    tone: "good", "warn", "bad" or "". mark: a sign beside the colour.
    """

    tone: str
    mark: str
    words: str
    at: datetime | None = None
    detail: str = ""


def fate_of(recipient: Recipient) -> Fate:
    """Return what became of the text for this recipient."""
    at, error = recipient.since, error_words(recipient.error)
    match recipient.status:
        case OutboundState.QUEUED:
            return Fate("", "◷", _("waits since"), recipient.queued_at)
        case OutboundState.SENDING:
            return Fate("", "◷", _("is being sent, waits since"), recipient.queued_at)
        case OutboundState.SENT:
            return Fate("", "✓", _("sent"), recipient.sent_at or at, _("no receipt yet"))
        case OutboundState.DELIVERED:
            return Fate("good", "✓✓", _("delivered"), at)
        case OutboundState.UNDELIVERED:
            return Fate("bad", "✕", _("undelivered"), at, error)
        case OutboundState.FAILED:
            return Fate("bad", "✕", _("failed"), at, error)
        case OutboundState.UNKNOWN:
            return Fate("warn", "?", _("outcome unknown since"), at, _("it may have arrived"))
    return Fate("warn", "⊘", _("cancelled"), at, _cancelled(recipient))


def error_words(error: MessageError | None) -> str:
    """Return why it did not arrive, with the carrier's code in brackets."""
    if error is None:
        return ""
    words = str(ERRORS[error.kind])
    return _("%(error)s (code %(code)s)") % {"error": words, "code": error.code} if error.code else words


def _cancelled(recipient: Recipient) -> str:
    is_by_staff = recipient.error is not None and recipient.error.kind == NotSentBecause.CANCELLED
    reason = recipient.reason.removeprefix("staff: ") if is_by_staff else error_words(recipient.error)
    if recipient.actor:
        return _("by %(actor)s: %(reason)s") % {"actor": recipient.actor, "reason": reason or _("without a reason")}
    return reason


@dataclass(frozen=True)
class EventLine:
    """An event of the conversation: a title, and why."""

    mark: str
    title: str
    detail: str = ""


def event_line(event: ConversationEvent, names: Mapping[int, str]) -> EventLine:
    """Return the event in words. names: of the participants, by position."""
    reason = re.sub(r"participant (\d+)", lambda match: names.get(int(match[1]), match[0]), event.reason)
    word, _colon, why = reason.partition(": ")
    if event.old_state == "":
        return EventLine("✦", _("Conversation created"))
    if event.old_state != event.new_state:
        if event.new_state == ConversationState.OPEN:
            return EventLine("↻", _("Reopened"), why if word == "reopened" else reason)
        ends = {"expired": _("Ended: its time was over"), "idle": _("Ended: nobody wrote for too long")}
        if word in ends:
            return EventLine("■", ends[word], why)
        return EventLine("■", _("Closed"), why if word == "closed" else reason)
    match word:
        case "on hold":
            return EventLine("‖", _("Put on hold"), why)
        case "released":
            return EventLine("▶", _("Hold released"), why)
        case "closed for good":
            return EventLine("■", _("Closed for good"), why)
        case "changed":
            columns, _more, why = why.partition(": ")
            if columns == "expires_at":
                return EventLine("⏱", _("End moved"), why)
            return EventLine("✎", _("Terms changed"), ": ".join(filter(None, [columns.replace("_", " "), why])))
    return EventLine("•", reason[:1].upper() + reason[1:])


def staff_line(act: StaffAct, names: Mapping[int, str]) -> EventLine:
    """Return the act of staff in words. names: of the participants, by position."""
    somebody = _("Somebody")
    name = {
        "name": somebody if act.position is None else names.get(act.position, somebody),
        "other": somebody if act.other is None else names.get(act.other, somebody),
    }
    match act.did:
        case Did.BLOCKED:
            is_pair = act.other is not None
            told = _("%(name)s and %(other)s blocked towards each other") if is_pair else _("%(name)s blocked")
            until = " " + _("until %(time)s UTC") % {"time": f"{act.until:%Y-%m-%d %H:%M}"} if act.until else ""
            return EventLine("⊘", told % name + until, act.reason)
        case Did.UNBLOCKED:
            is_pair = act.other is not None
            told = _("Block of %(name)s and %(other)s ended") if is_pair else _("Block of %(name)s ended")
            return EventLine("○", told % name, act.reason)
        case Did.TEXTED:
            return EventLine("✉", _("Text to everybody"), act.reason)
        case Did.PASSED_ON:
            return EventLine("→", _("Passed on from the inbox, from %(name)s") % name, act.reason)
    return EventLine("⟳", _("Sent again to %(name)s") % name, act.reason)


def cover_of(text: str) -> tuple[str, str]:
    """Return the length of a covered text as a name for its bar, and in words."""
    for most, name, words in (
        (40, "short", _("Short text, hidden")),
        (160, "medium", _("Text of one SMS, hidden")),
        (480, "long", _("Long text, hidden")),
    ):
        if len(text) <= most:
            return name, words
    return "longest", _("Very long text, hidden")

"""What became of a text for each recipient, and what happened to the conversation, in words."""

from datetime import UTC, datetime

import pytest

from conversations.admin.thread.words import OUTCOMES, cover_of, event_line, fate_of
from conversations.insight.message_errors import error_of
from conversations.insight.message_history import Recipient
from conversations.models import ConversationEvent, InboundOutcome, OutboundState

QUEUED, SENT, SINCE = (datetime(2030, 1, 1, 10, 42, second, tzinfo=UTC) for second in (1, 3, 7))


def fate(status, *, code="", reason="", actor=""):
    return fate_of(
        Recipient(
            pk=1,
            position=0,
            status=status,
            segments=1,
            price=None,
            error=error_of(status, code, reason),
            queued_at=QUEUED,
            sent_at=SENT,
            settled_at=None,
            since=SINCE,
            reason=reason,
            actor=actor,
        )
    )


@pytest.mark.parametrize(
    ("status", "why", "words", "at", "detail"),
    [
        ("queued", {}, "waits since", QUEUED, ""),
        ("sending", {}, "is being sent, waits since", QUEUED, ""),
        ("sent", {}, "sent", SENT, "no receipt yet"),
        ("delivered", {}, "delivered", SINCE, ""),
        ("undelivered", {"code": "2"}, "undelivered", SINCE, "the phone is off, full or not in service (code 2)"),
        ("undelivered", {"code": "5"}, "undelivered", SINCE, "the network did not deliver it (code 5)"),
        ("failed", {"code": "9"}, "failed", SINCE, "the carrier refused it (code 9)"),
        ("failed", {"reason": "older than MESSAGE_MAX_AGE_SECONDS"}, "failed", SINCE, "it waited too long"),
        ("failed", {"reason": "its recipient has opted out"}, "failed", SINCE, "the person has opted out"),
        ("failed", {"reason": "no key decrypts it"}, "failed", SINCE, "we could not send it"),
        ("unknown", {}, "outcome unknown since", SINCE, "it may have arrived"),
        (
            "cancelled",
            {"reason": "staff: the ride is over", "actor": "sam"},
            "cancelled",
            SINCE,
            "by sam: the ride is over",
        ),
        (
            "cancelled",
            {"reason": "its sender was blocked", "actor": "tina"},
            "cancelled",
            SINCE,
            "by tina: its author is blocked",
        ),
        ("cancelled", {"reason": "its recipient has opted out"}, "cancelled", SINCE, "the person has opted out"),
        (
            "cancelled",
            {"reason": "its recipient was removed from the conversation"},
            "cancelled",
            SINCE,
            "its recipient was removed from the conversation",
        ),
    ],
)
def test_each_fate_is_told_in_words_with_its_time(status, why, words, at, detail):
    told = fate(status, **why)

    assert (told.words, told.at, told.detail) == (words, at, detail)


def test_every_state_of_a_message_has_a_mark_beside_its_colour():
    assert all(fate(state).mark for state in OutboundState)


def test_every_outcome_of_a_text_that_was_not_passed_on_has_words():
    passed_on = {InboundOutcome.RELAYED, InboundOutcome.PART, InboundOutcome.DUPLICATE_PART}

    assert set(OUTCOMES) == set(InboundOutcome) - passed_on


@pytest.mark.parametrize(
    ("old", "new", "reason", "title", "detail"),
    [
        ("", "open", "created", "Conversation created", ""),
        ("open", "closed", "expired", "Ended: its time was over", ""),
        ("open", "closed", "idle", "Ended: nobody wrote for too long", ""),
        ("open", "closed", "closed", "Closed", ""),
        ("open", "closed", "closed: ticket 4711", "Closed", "ticket 4711"),
        ("open", "closed", "order cancelled", "Closed", "order cancelled"),
        ("closed", "open", "reopened", "Reopened", ""),
        ("closed", "open", "reopened: both asked", "Reopened", "both asked"),
        ("closed", "open", "a late text", "Reopened", "a late text"),
        ("closed", "closed", "closed for good: ticket 4711", "Closed for good", "ticket 4711"),
        ("open", "open", "on hold: they quarrel", "Put on hold", "they quarrel"),
        ("open", "open", "released: they made peace", "Hold released", "they made peace"),
        ("open", "open", "changed: expires_at: the ride is late", "End moved", "the ride is late"),
        ("open", "open", "changed: reference, idle_ttl", "Terms changed", "reference, idle ttl"),
        ("open", "open", "participant 1 was removed", "Bob was removed", ""),
        (
            "open",
            "open",
            "participant 1 was given +447700900500 in place of +447700900501",
            "Bob was given +447700900500 in place of +447700900501",
            "",
        ),
    ],
)
def test_each_event_is_told_in_words(old, new, reason, title, detail):
    line = event_line(ConversationEvent(old_state=old, new_state=new, reason=reason), {0: "Alice", 1: "Bob"})

    assert (line.title, line.detail) == (title, detail)


def test_a_covered_text_shows_only_how_long_it_is():
    assert [cover_of("x" * length)[0] for length in (1, 40, 41, 160, 161, 480, 481)] == [
        "short",
        "short",
        "medium",
        "medium",
        "long",
        "long",
        "longest",
    ]

"""What is queued for a person when their STOP comes."""

import pytest

from conversations.delivery import opt_out as delivery_opt_out
from smsproxy.carriers.base import OutcomeUnknown, TemporaryFailure
from tests.support.builders import (
    BOB,
    CHARLIE,
    members,
    talk,
)
from tests.support.opt_outs import (
    HELP,
    NOT_RECEIVING,
    STOPPED,
    messages_to,
    proxy_of,
    sent_to,
)
from tests.support.outbox import history, queue, state_of, work

pytestmark = pytest.mark.django_db


def test_stop_cancels_what_is_queued_on_every_line_and_nothing_of_others(text, pair, carrier):
    alice, bob = pair
    [_, bob_with_charlie] = members(talk(CHARLIE, BOB))
    mine = [*queue(bob, "one", "two"), *queue(bob_with_charlie, "three")]
    [other] = queue(alice, "for Alice")

    text(BOB, proxy_of(bob), "STOP")
    work()

    assert [state_of(message) for message in mine] == ["cancelled"] * 3
    assert [history(message) for message in mine] == [["queued", "cancelled"]] * 3
    assert state_of(other) == "sent"
    assert sent_to(carrier, BOB) == [STOPPED]


def test_many_queued_messages_are_cancelled_in_batches(text, pair, monkeypatch):
    monkeypatch.setattr(delivery_opt_out, "_BATCH", 2)
    mine = queue(pair[1], *map(str, range(5)))

    text(BOB, proxy_of(pair[1]), "STOP")

    assert [history(message) for message in mine] == [["queued", "cancelled"]] * 5


def test_a_message_of_unknown_outcome_is_cancelled_and_holds_nothing_up(text, pair, carrier):
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(pair[1], "perhaps sent")
    work()
    assert state_of(unknown) == "unknown"

    text(BOB, proxy_of(pair[1]), "STOP")
    work()

    assert state_of(unknown) == "cancelled"
    assert sent_to(carrier, BOB) == ["perhaps sent", STOPPED]


def test_a_receipt_for_a_cancelled_message_that_was_sent_still_counts(text, pair, carrier, receipt):
    carrier.script = [OutcomeUnknown("read timeout")]
    [unknown] = queue(pair[1], "perhaps sent")
    work()
    unknown.refresh_from_db()
    text(BOB, proxy_of(pair[1]), "STOP")

    receipt(unknown, "0", status="delivered")

    assert state_of(unknown) == "delivered"


def test_a_message_that_goes_back_to_the_queue_after_stop_is_not_sent_again(text, pair, carrier):
    bob = pair[1]

    def stop_comes_during_the_call(outgoing):
        text(BOB, proxy_of(bob), "STOP")
        raise TemporaryFailure("internal error", retry_after=0)

    carrier.script = [stop_comes_during_the_call]
    [message] = queue(bob, "hello")
    work()

    assert history(message) == ["queued", "sending", "queued", "sending", "cancelled"]
    assert sent_to(carrier, BOB) == ["hello", STOPPED]


def test_the_answer_to_an_earlier_keyword_is_not_cancelled(text, pair, carrier):
    text(BOB, proxy_of(pair[1]), "HELP")
    text(BOB, proxy_of(pair[1]), "STOP")
    work()

    assert sent_to(carrier, BOB) == [HELP, STOPPED]


def test_the_author_of_a_text_that_stop_cancels_in_another_conversation_is_told(text, pair):
    [charlie, _] = members(talk(CHARLIE, BOB))
    text(CHARLIE, proxy_of(charlie), "on my way")

    text(BOB, proxy_of(pair[1]), "STOP")

    assert messages_to(CHARLIE) == [NOT_RECEIVING]
    text(CHARLIE, proxy_of(charlie), "hello?")
    assert messages_to(CHARLIE) == [NOT_RECEIVING]

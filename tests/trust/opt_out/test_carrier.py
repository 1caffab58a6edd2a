"""What the carrier knows of opt-outs."""

import pytest

from smsproxy.carriers.base import RecipientOptedOut
from tests.support.builders import (
    BOB,
)
from tests.support.opt_outs import (
    has_opted_out,
    messages_to,
    person,
    proxy_of,
)
from tests.support.outbox import queue, state_of, work

pytestmark = pytest.mark.django_db


def test_a_receipt_that_says_opted_out_opts_the_person_out(pair, carrier, receipt):
    _alice, bob = pair
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    [waiting] = queue(bob, "more")

    receipt(message, "9")
    receipt(message, "9")

    assert state_of(message) == "undelivered"
    assert state_of(waiting) == "cancelled"
    assert has_opted_out(BOB)
    assert [event.reason for event in person(BOB).events.all()] == [
        "the carrier refused a message: the recipient has opted out (code 9)"
    ]
    assert messages_to(BOB) == ["hello"]


@pytest.mark.parametrize(("code", "status"), [("2", "failed"), ("7", "failed"), ("9", "delivered"), ("9", "accepted")])
def test_no_other_receipt_opts_a_person_out(pair, carrier, receipt, code, status):
    [message] = queue(pair[1], "hello")
    work()
    message.refresh_from_db()

    receipt(message, code, status=status)

    assert not has_opted_out(BOB)


def test_a_receipt_for_a_message_from_before_start_does_not_undo_start(text, pair, carrier, receipt):
    bob = pair[1]
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    text(BOB, proxy_of(bob), "STOP")
    text(BOB, proxy_of(bob), "START")

    receipt(message, "9")

    assert not has_opted_out(BOB)


def test_a_send_that_says_the_recipient_is_barred_opts_the_person_out(pair, carrier):
    bob = pair[1]
    carrier.script = [RecipientOptedOut("the recipient is barred", code="7")]
    [message, second] = queue(bob, "hello", "again")

    work()

    assert (state_of(message), state_of(second)) == ("failed", "cancelled")
    assert has_opted_out(BOB)
    assert len(carrier.sent) == 1


def test_a_person_the_carrier_opted_out_may_start_again(text, pair, carrier, receipt):
    _alice, bob = pair
    [message] = queue(bob, "hello")
    work()
    message.refresh_from_db()
    receipt(message, "9")

    text(BOB, proxy_of(bob), "UNSTOP")

    assert not has_opted_out(BOB)

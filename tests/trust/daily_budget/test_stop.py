"""The daily budget stops all sending, and loses nothing."""

from decimal import Decimal

import pytest

from conversations.delivery.claim import claim
from conversations.insight.troubles.kinds import Trouble
from conversations.worker.periodic_jobs import fail_expired_messages
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.daily_budget import account, states
from tests.support.outbox import queue, state_of, work
from tests.support.troubles import active_troubles

pytestmark = pytest.mark.django_db


def test_nothing_is_claimed_once_the_budget_is_reached_and_all_is_kept(carrier, bob, noon):
    queue(bob, *"abcdef")

    work()

    assert states() == ["sent"] * 4 + ["queued"] * 2
    assert account().spent == 1
    assert len(carrier.sent) == 4


def test_messages_in_flight_count_too(bob, noon, settings):
    add_numbers(10, start="+4477009006")
    people = [members(talk(ALICE, f"+4477009001{index:02}"))[1] for index in range(6)]
    for person in people:
        queue(person, "hello")

    assert len(claim(50).messages) == 4
    assert claim(50) == ([], None)


def test_a_message_that_exceeds_the_budget_is_not_sent_and_no_other_is_sent_instead(carrier, bob, noon):
    [long] = queue(bob, "x" * 700)
    work()

    queue(bob, "short")
    queue(members(talk(ALICE, BOB))[0], "hello")
    work()

    assert long.segments == 5
    assert states() == ["queued"] * 3
    assert carrier.sent == []


def test_without_a_budget_everything_is_sent_and_counted(carrier, bob, noon, settings):
    settings.DAILY_BUDGET = Decimal(0)
    queue(bob, *"abcdef")

    work()

    assert states() == ["sent"] * 6
    assert account().spent == Decimal("1.5")
    assert not {Trouble.BUDGET, Trouble.BUDGET_WARNING, Trouble.PAUSED} & active_troubles().keys()


def test_age_counts_while_the_budget_stops_sending(carrier, bob, noon, settings):
    *_, last = queue(bob, *"abcde")
    work()

    noon.shift(settings.MESSAGE_MAX_AGE_SECONDS + 1)
    fail_expired_messages()

    assert state_of(last) == "failed"

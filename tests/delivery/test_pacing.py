"""Rate limits across all workers: segments a second for a virtual number, requests a second for the account."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.delivery import outbox
from conversations.delivery.claim import claim
from conversations.models import AccountRateLimit, MessageKind, NumberRateLimit, OutboundMessage
from conversations.models.gcra import BURST_SECONDS
from numbers.models import RealNumber, VirtualNumber
from tests.support.builders import add_numbers
from tests.support.hypothesis_profiles import examples

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(time_machine):
    """Stop the clock. Return a function that moves it by seconds."""
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    return lambda seconds: time_machine.shift(timedelta(seconds=seconds))


@pytest.fixture
def rates(settings):
    def rates(account=100_000, **by_country):
        settings.CARRIER_REQUESTS_PER_SECOND = account
        settings.NUMBER_SEGMENTS_PER_SECOND = {"*": 100_000.0, **by_country}

    return rates


def people(count):
    return list(RealNumber.objects.get_or_create_many(f"+4477007{index:05}" for index in range(count)).values())


def queue(sender, recipients, text="hello"):
    """Queue a message to each recipient, each in a line of its own."""
    for recipient in recipients:
        outbox._queue(MessageKind.NOTICE, sender.pk, recipient.pk, text)


def claimed(limit=1000):
    return [claimed.message.sender for claimed in claim(limit).messages]


def test_a_number_sends_as_many_segments_a_second_as_its_rate_allows(clock, rates):
    rates(GB=2.0)
    [number] = add_numbers(1)
    queue(number, people(4))

    assert len(claimed()) == 1
    assert claimed() == []
    clock(0.49)
    assert claimed() == []
    clock(0.01)
    assert len(claimed()) == 1


def test_a_message_of_three_segments_consumes_three(clock, rates):
    rates(GB=1.0)
    [number] = add_numbers(1)
    one, other = people(2)
    queue(number, [one], "x" * 400)
    queue(number, [other])

    assert len(claimed()) == 1
    clock(2.99)
    assert claimed() == []
    clock(0.01)
    assert len(claimed()) == 1


def test_a_numbers_own_rate_overrides_that_of_its_country(clock, rates):
    rates(GB=1.0)
    [number] = add_numbers(1)
    VirtualNumber.objects.filter(pk=number.pk).update(rate=4.0)
    queue(number, people(2))

    assert len(claimed()) == 1
    clock(0.25)
    assert len(claimed()) == 1


def test_an_idle_number_accumulates_no_burst(clock, rates):
    rates(GB=10.0)
    [number] = add_numbers(1)
    one, *others = people(10)
    queue(number, [one])
    assert len(claimed()) == 1
    clock(3600)
    queue(number, others)

    assert len(claimed()) == 1
    assert claimed() == []


def test_the_account_rate_limits_requests_of_any_length(clock, rates):
    rates(account=2)
    queue_to = zip(add_numbers(3), people(3), strict=True)
    for number, person in queue_to:
        queue(number, [person], "x" * 400)

    assert len(claimed()) == 1
    clock(0.49)
    assert claimed() == []
    clock(0.01)
    assert len(claimed()) == 1


def test_a_claim_returns_the_seconds_after_which_the_rate_allows_the_next(clock, rates):
    rates(GB=1.0)
    [number] = add_numbers(1)
    queue(number, people(2))

    assert claim(10).wait == 1
    clock(0.25)
    assert claim(10).wait == 0.75
    clock(0.75)
    claim(10)
    clock(1)
    assert claim(10).wait is None


def test_a_busy_number_never_starves_the_others(clock, rates):
    rates(account=10)
    busy, *quiet = add_numbers(4)
    queue(busy, people(50))
    for number in quiet:
        queue(number, people(2))

    turns = []
    for _ in range(8):
        turns += claimed()
        clock(0.1)

    assert Counter(turns[:4]) == Counter([busy, *quiet])
    assert Counter(turns[4:]) == Counter([busy, *quiet])


def test_numbers_are_served_round_robin_across_claims(clock, rates):
    rates(account=10)
    numbers = add_numbers(5)
    for number in numbers:
        queue(number, people(4))

    turns = []
    for _ in range(15):
        turns += claimed()
        clock(0.1)

    assert turns == numbers * 3


def test_one_claim_takes_several_messages_of_a_number_if_the_others_have_none(clock, rates):
    rates()
    [number, other] = add_numbers(2)
    queue(number, people(5))
    queue(other, people(1))

    assert Counter(claimed(limit=4)) == Counter({number: 3, other: 1})


def test_the_rate_limit_is_shared_by_all_workers(clock, rates):
    """Each claim stands for another worker."""
    rates(GB=1.0)
    [number] = add_numbers(1)
    queue(number, people(5))

    assert sum(len(claimed(limit=1)) for _ in range(3)) == 1


@examples(fast=5, thorough=20)
@given(
    rate=st.sampled_from([1.0, 3.0, 10.0, 30.0, 100.0]),
    account=st.sampled_from([5, 30, 1000]),
    steps=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 40)), min_size=1, max_size=25),
)
def test_no_time_window_exceeds_the_rate_limits(db, time_machine, settings, rate, account, steps):
    """steps: pairs of elapsed milliseconds and the limit of the next claim."""
    settings.CARRIER_REQUESTS_PER_SECOND, settings.NUMBER_SEGMENTS_PER_SECOND = account, {"*": rate}
    OutboundMessage.objects.all().delete()
    NumberRateLimit.objects.all().delete()
    AccountRateLimit.objects.all().delete()
    numbers = list(VirtualNumber.objects.all()) or add_numbers(2)
    recipients = people(60)
    for number in numbers:
        queue(number, recipients, "x" * 200)
    start = timezone.now().replace(microsecond=0)
    sent = []
    moment = 0.0
    for milliseconds, limit in steps:
        moment += milliseconds / 1000
        time_machine.move_to(start + timedelta(seconds=moment), tick=False)
        messages = [claimed.message for claimed in claim(limit).messages]
        sent += [(moment, message.sender_id, message.segments) for message in messages]

    def most(events, rate, largest):
        """Check that each window holds at most its length times the rate, the burst and one message."""
        for index, (begin, _) in enumerate(events):
            total = 0
            for at, cost in events[index:]:
                total += cost
                assert total <= rate * (at - begin + BURST_SECONDS) + largest + 1e-6

    most([(at, 1) for at, _, _ in sent], account, 1)
    for number in numbers:
        most([(at, segments) for at, sender, segments in sent if sender == number.pk], rate, 2)

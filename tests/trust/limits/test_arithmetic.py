"""A limit is a token bucket, computed alike in Python and in the database."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.models import LimitScope, LimitUsage
from conversations.models.limit_usage import DAY, Charge, Refusal, notices_pair, notices_subject
from smsproxy.gcra import time_to_wait
from tests.support.hypothesis_profiles import examples

pytestmark = pytest.mark.django_db


class Bucket:
    """The reference: `count` tokens at first, and `count` more in each period, up to `count`."""

    def __init__(self, count, period):
        self.count, self.period, self.tokens, self.at = count, period, float(count), 0.0

    def has(self, cost, at):
        tokens = min(self.count, self.tokens + (at - self.at) * self.count / self.period)
        return tokens, tokens >= cost - 0.001

    def take(self, cost, at):
        tokens, _ = self.has(cost, at)
        self.tokens, self.at = tokens - cost, at


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 0.5, 1, 2, 7, 30, 60, 61, 3600, 90000]), st.sampled_from([1, 1, 1, 2, 3])),
    max_size=40,
)


@given(steps=STEPS, count=st.integers(1, 12), period=st.sampled_from([60, 3600, DAY]))
def test_a_limit_is_a_token_bucket(steps, count, period):
    bucket, ready_at, now = Bucket(count, period), 0.0, 1_800_000_000.0
    for seconds, cost in steps:
        now += seconds
        weight = cost * period / count
        wait = time_to_wait(ready_at, now, weight, period)
        _, has = bucket.has(cost, now - 1_800_000_000.0)
        assert (wait == 0) == has
        if cost <= count and wait:
            assert time_to_wait(ready_at, now + wait, weight, period) == 0
        if has:
            bucket.take(cost, now - 1_800_000_000.0)
            ready_at = max(ready_at, now) + weight


@given(steps=STEPS, minute=st.integers(0, 8), day=st.integers(0, 12))
@examples(fast=15, thorough=60)
def test_the_database_computes_as_python_does(steps, minute, day, settings):
    settings.NEW_PEOPLE_PER_SERVICE_MINUTE, settings.NEW_PEOPLE_PER_SERVICE_DAY = minute, day
    LimitUsage.objects.all().delete()
    now, row = timezone.now().replace(microsecond=0), LimitUsage()
    for seconds, cost in steps:
        now += timedelta(seconds=seconds)
        charge = Charge(LimitScope.NEW_PEOPLE, 5, cost)
        wait = charge.wait(row.short_ready_at, row.long_ready_at, now.timestamp())
        refusal = LimitUsage.objects.refusal([charge], at=now)
        assert (refusal is None) == (wait == 0)
        assert (LimitUsage.objects.consume([charge], at=now) is None) == (wait == 0)
        if charge.is_limited and not wait:
            short, long = charge.seconds
            row.short_ready_at = max(row.short_ready_at, now.timestamp()) + short
            row.long_ready_at = max(row.long_ready_at, now.timestamp()) + long
            found = LimitUsage.objects.get()
            assert found.short_ready_at == pytest.approx(row.short_ready_at, abs=1e-5)
            assert found.long_ready_at == pytest.approx(row.long_ready_at, abs=1e-5)


@pytest.mark.parametrize("count", [7, 30, 500, 5000])
def test_exactly_the_limit_passes_at_once(settings, count):
    settings.MESSAGES_PER_PERSON_MINUTE, settings.MESSAGES_PER_PERSON_DAY = count, count
    charge, now, passed = Charge(LimitScope.PERSON, 1), 1_800_000_000.123, 0
    short, long = 0.0, 0.0
    while charge.wait(short, long, now) == 0:
        short, long = (max(at, now) + cost for at, cost in zip((short, long), charge.seconds, strict=True))
        passed += 1

    assert passed == count


def test_a_moment_from_a_wrong_clock_stops_nobody(settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 2
    now = timezone.now()
    LimitUsage.objects.consume([Charge(LimitScope.PERSON, 1)] * 1, at=now + timedelta(days=30))

    assert LimitUsage.objects.consume([Charge(LimitScope.PERSON, 1)], at=now) is None


def test_a_refusal_says_when_to_try_again(settings):
    settings.CREATIONS_PER_SERVICE_MINUTE, settings.CREATIONS_PER_SERVICE_DAY = 6, 0
    now = timezone.now()
    charge = Charge(LimitScope.CREATIONS, 1)
    for _ in range(6):
        assert LimitUsage.objects.consume([charge], at=now) is None

    assert LimitUsage.objects.consume([charge], at=now) == Refusal(LimitScope.CREATIONS, 10, (6, 0))
    assert LimitUsage.objects.consume([charge], at=now + timedelta(seconds=10)) is None


def test_a_pair_of_a_number_and_a_person_is_one_subject():
    assert notices_pair(notices_subject(4_000_000, 900_000_000_000)) == (4_000_000, 900_000_000_000)
    assert notices_subject(8_000_000, 1) < 2**63

from datetime import UTC, datetime, timedelta

import pytest

from conversations.models.gcra import LONG_AGO, MAX_PAUSE, MAX_PLAUSIBLE_WAIT, MAX_WAIT, advance, exponential_backoff

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("rate", [0.5, 1, 10])
def test_a_rate_of_up_to_ten_a_second_is_never_exceeded(rate):
    assert advance(LONG_AGO, NOW, 3, rate) == NOW + timedelta(seconds=3 / rate)


def test_a_high_rate_catches_up_on_a_tenth_of_a_second_less_one_unit():
    assert advance(LONG_AGO, NOW, 1, 100) == NOW - timedelta(seconds=0.08)


def test_a_send_is_added_to_the_time_that_is_spent_already():
    ready_at = NOW + timedelta(seconds=5)
    assert advance(ready_at, NOW, 2, 4) == ready_at + timedelta(seconds=0.5)


def test_a_moment_from_a_wrong_clock_is_ignored():
    assert advance(NOW + MAX_PLAUSIBLE_WAIT, NOW, 1, 1) == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("seconds", "failures", "low", "high"),
    [(1, 0, 1, 1), (1, 3, 4, 8), (1, 99, MAX_PAUSE / 2, MAX_PAUSE), (9e9, 0, MAX_WAIT, MAX_WAIT)],
)
def test_a_wait_doubles_with_each_failure_up_to_a_limit(seconds, failures, low, high):
    assert timedelta(seconds=low) <= exponential_backoff(seconds, failures) <= timedelta(seconds=high)

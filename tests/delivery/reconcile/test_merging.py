"""Windows close to each other become one: for any times, each attempt is covered, once, in bounded windows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conversations.delivery.reconcile import AFTER, BEFORE, CLOSE, MAX_MERGED, MAX_WINDOW, merge
from conversations.models import OutboundMessage

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
seconds = st.integers(0, 3600).map(lambda found: timedelta(seconds=found))


def attempt(begin: timedelta, length: timedelta) -> Any:
    times = {"due_at": NOON, "created_at": NOON}  # Otherwise the database is asked for its time.
    return OutboundMessage(attempted_at=NOON + begin, attempt_ended_at=NOON + begin + length, **times)


def own_window(message: OutboundMessage) -> tuple[datetime, datetime]:
    assert message.attempted_at
    assert message.attempt_ended_at
    return message.attempted_at - BEFORE, message.attempt_ended_at + AFTER


attempts = st.lists(
    st.builds(attempt, seconds, st.one_of(seconds, st.integers(0, 60).map(lambda found: timedelta(seconds=found)))),
    max_size=30,
)


@given(attempts)
def test_each_attempt_is_in_exactly_one_window_that_covers_it(messages):
    windows = merge(messages)

    assert sorted(id(each) for window in windows for each in window.messages) == sorted(map(id, messages))
    for window in windows:
        for each in window.messages:
            start, end = own_window(each)
            assert window.start <= start
            assert window.end >= end


@given(attempts)
def test_a_window_is_short_or_as_long_as_one_attempt_and_has_no_long_gap(messages):
    for window in merge(messages):
        own = sorted(map(own_window, window.messages))
        assert (window.start, window.end) == (own[0][0], max(end for _, end in own))
        longest = max(end - start for start, end in own)
        assert window.end - window.start <= max(MAX_MERGED, longest)
        assert window.end - window.start <= MAX_WINDOW
        covered = own[0][1]
        for start, end in own[1:]:
            assert start <= covered + CLOSE
            covered = max(covered, end)


@given(attempts)
def test_the_order_of_the_messages_does_not_matter_and_windows_that_could_be_one_are(messages):
    windows = merge(messages)

    assert [(window.start, window.end) for window in merge(messages[::-1])] == [
        (window.start, window.end) for window in windows
    ]
    for first, second in pairwise(windows):
        assert first.start <= second.start
        assert second.start > first.end + CLOSE or second.end > max(first.end, first.start + MAX_MERGED)


def test_attempts_of_the_same_minute_are_one_request_and_of_another_hour_another():
    at = [attempt(timedelta(seconds=start), timedelta(seconds=10)) for start in (0, 20, 40, 3000)]

    assert [len(window.messages) for window in merge(at)] == [3, 1]

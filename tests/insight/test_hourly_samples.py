"""Samples of the counters become figures of each hour, whatever happens between two samples."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight import sampling
from conversations.insight.hourly_figures import last_hours, together
from conversations.insight.sampling import sample_counters
from conversations.models import HourlySample
from conversations.models.hourly_sample import HOUR, JOINED_WITHIN, hour_of
from conversations.retention.rules import RULES
from smsproxy.database.clock import database_now
from smsproxy.metrics import counting, families
from smsproxy.metrics.models import MetricValue
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.outbox import later

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def received(outcome="relayed", times=1):
    counting.count(families.RECEIVED, times, outcome=outcome)
    counting.flusher.flush()


def figures(hours=48):
    return {hour.at.hour: hour.count("received") for hour in last_hours(database_now(), hours) if hour.is_known}


@pytest.fixture
def at_noon(db, time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


# The differences ------------------------------------------------------------------------------------------------------

# The time until the next sample, and the events until then.
STEPS = st.lists(
    st.tuples(st.integers(1, 200).map(lambda minutes: minutes * MINUTE), st.integers(0, 1000)), min_size=1, max_size=40
)


def play(steps, *, resets=()):
    """Take the samples, and return the rows, the events of each step that was joined, and those of the others."""
    at, counter, rows, joined, lost = NOON, 50.0, [], 0, 0
    rows.append(HourlySample.following(None, {"received": counter}, at))
    for step, (pause, events) in enumerate(steps):
        counter = events if step in resets else counter + events
        at += pause
        last = rows[-1]
        if last.hour == hour_of(at):
            last.advance({"received": counter}, at)
        else:
            rows.append(HourlySample.following(last, {"received": counter}, at))
        if last.hour == hour_of(at) or pause <= JOINED_WITHIN:
            joined += events
        else:
            lost += events
    return rows, joined, lost


@given(STEPS)
def test_the_hours_together_have_each_event_once_except_those_of_a_silence(steps):
    rows, joined, lost = play(steps)

    assert sum(row.figures["received"] for row in rows) == joined
    assert rows[-1].counters["received"] == 50 + joined + lost


@given(STEPS, st.sets(st.integers(0, 39)))
def test_no_figure_is_negative_and_a_deleted_counter_counts_from_nothing(steps, resets):
    rows, _, _ = play(steps, resets=resets)

    assert all(row.figures["received"] >= 0 for row in rows)
    assert sum(row.figures["received"] for row in rows) <= sum(events for _, events in steps)


@given(STEPS)
def test_each_hour_has_one_row_and_the_rows_do_not_overlap(steps):
    rows, _, _ = play(steps)

    assert len({row.hour for row in rows}) == len(rows)
    assert all(row.since <= row.until and row.hour <= row.until < row.hour + HOUR for row in rows)
    assert all(before.until <= after.since for before, after in pairwise(rows))


@given(st.lists(st.integers(0, 100), min_size=61, max_size=300))
def test_with_a_sample_a_minute_an_hour_has_its_own_events_to_the_minute(events):
    rows, _, _ = play([(MINUTE, each) for each in events])

    for number, row in enumerate(rows[:-1]):
        first = number * 60
        # The events up to the first sample of an hour belong to it, and so do the later ones.
        own = events[first - 1 : first + 59] if number else events[:59]
        assert row.figures["received"] == sum(own)


def test_a_kind_that_an_earlier_version_did_not_sample_begins_at_nothing():
    row = HourlySample.following(None, {"received": 5}, NOON)

    row.advance({"received": 6, "new": 1000}, NOON + MINUTE)

    assert row.figures == {"received": 1, "new": 0}


# The job --------------------------------------------------------------------------------------------------------------


def test_the_first_sample_counts_nothing_of_what_was_before(at_noon):
    received(times=1000)

    assert sample_counters() == 1
    assert figures() == {12: 0}

    received(times=3)
    later(at_noon, 60)
    sample_counters()
    assert figures() == {12: 3}


def test_a_long_message_counts_once_and_not_its_parts(at_noon):
    sample_counters()
    received("part", 3)
    received("duplicate_part")
    received("relayed")
    later(at_noon, 60)

    sample_counters()

    assert figures() == {12: 1}


def test_an_hour_in_which_no_worker_ran_is_a_gap_and_not_a_peak(at_noon):
    sample_counters()
    received(times=2)
    later(at_noon, 60)
    sample_counters()
    received(times=5000)
    later(at_noon, 3 * 3600)
    sample_counters()
    received(times=4)
    later(at_noon, 60)
    sample_counters()

    hours = {hour.at.hour: hour for hour in last_hours(database_now(), 4)}
    assert figures() == {12: 2, 15: 4}
    assert [hours[each].is_known for each in (12, 13, 14, 15)] == [True, False, False, True]
    assert not hours[12].is_complete
    assert not hours[15].is_complete
    assert together(hours.values()).count("received") == 6


def test_an_hour_with_a_sample_a_minute_is_complete(at_noon):
    for _ in range(180):
        sample_counters()
        received()
        later(at_noon, 60)

    hours = last_hours(database_now(), 4)

    # The first one began with the first sample, on the minute.
    assert [hour.is_complete for hour in hours[:3]] == [True, True, True]
    assert [hour.count("received") for hour in hours[:3]] == [59, 60, 60]


def test_deleted_counters_count_from_nothing(at_noon):
    received(times=100)
    sample_counters()
    MetricValue.objects.all().delete()
    received(times=7)
    later(at_noon, 60)

    sample_counters()

    assert figures() == {12: 7}


def test_a_clock_that_was_set_back_changes_nothing(at_noon):
    received()
    sample_counters()
    received()
    at_noon.move_to(NOON - timedelta(hours=2), tick=False)

    assert sample_counters() == 0
    assert HourlySample.objects.count() == 1


def test_pairs_that_cool_down_are_counted_by_pool_every_few_minutes(at_noon):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    sample_counters()
    assert HourlySample.objects.get().cooling == {}

    conversation.close()
    later(at_noon, 60)
    sample_counters()
    assert HourlySample.objects.get().cooling == {}

    later(at_noon, 300)
    sample_counters()
    assert HourlySample.objects.get().cooling == {"0": 2}


def test_samples_are_deleted_after_five_weeks():
    assert [rule.time_kept for rule in RULES if rule.model is HourlySample] == [timedelta(days=35)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.parametrize("has_sample", [False, True])
def test_two_workers_at_once_count_each_event_once(has_sample):
    if has_sample:
        sample_counters()
    received(times=10)
    started = threading.Barrier(2, timeout=60)

    def work():
        started.wait()
        sample_counters()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert together(last_hours(database_now(), 2)).count("received") == (10 if has_sample else 0)
    assert sampling.sample_counters() == 1

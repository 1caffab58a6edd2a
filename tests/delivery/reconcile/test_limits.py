"""The search is bounded: requests, pages, workers; and its errors reach a person."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from conversations.delivery.reconcile import MAX_PAGES, reconcile, reconcile_trouble
from conversations.insight.collect_status import collect_status
from conversations.models import OutboundMessage, RecordSearch
from conversations.models.record_search import SEARCH_LEASE, SearchLeaseLost
from numbers.provisioning import retry
from smsproxy.carriers.base import AccountFault, PermanentFailure, TemporaryFailure
from tests.support.outbox import later, state_of
from tests.support.searches import MINUTE, lose_answer, page, record_of, search_after

pytestmark = pytest.mark.django_db

FAILED = TemporaryFailure("the carrier's server failed", code="503")


def errors():
    row = RecordSearch.objects.get()
    return row.last_error, row.failures


def test_messages_close_to_each_other_are_searched_for_in_one_request(bob, carrier, time_machine):
    messages = [lose_answer(bob, carrier, "first")]
    OutboundMessage.objects.update(due_at="2020-01-01T00:00Z")  # Later messages go on.
    messages.append(lose_answer(bob, carrier, "second"))
    OutboundMessage.objects.update(due_at=messages[1].due_at)
    carrier.pages_of_records = [page(*map(record_of, messages))]

    search_after(time_machine, 6)

    assert len(carrier.searched) == 1
    assert [state_of(message) for message in messages] == ["delivered", "delivered"]


def test_all_pages_of_a_window_are_read_before_a_message_counts_as_absent(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [page(next_cursor="a"), page(next_cursor="b"), page(record_of(message))]

    search_after(time_machine, 6)

    assert [cursor for _, _, cursor in carrier.searched] == ["", "a", "b"]
    assert len({(start, end) for start, end, _ in carrier.searched}) == 1
    assert state_of(message) == "delivered"


def test_no_page_is_paid_for_after_all_parts_are_found(bob, carrier, time_machine):
    message = lose_answer(bob, carrier, "x" * 200)
    carrier.pages_of_records = [
        page(record_of(message, 1), next_cursor="a"),
        page(record_of(message, 2), next_cursor="b"),
    ]

    search_after(time_machine, 6)

    assert len(carrier.searched) == 2
    assert state_of(message) == "delivered"


@pytest.mark.parametrize(
    "pages",
    [
        [page(next_cursor=str(place)) for place in range(100)],
        [page(next_cursor="a"), page(next_cursor="b"), *[page(next_cursor="a")] * 10],
    ],
    ids=["endless", "repeating"],
)
def test_a_window_whose_pages_do_not_end_is_given_up_and_does_not_hold_up_the_others(bob, carrier, time_machine, pages):
    message = lose_answer(bob, carrier, "first")
    later(time_machine, 50 * MINUTE)
    other = lose_answer(bob, carrier, "second")
    carrier.pages_of_records = list(pages)
    first_window = []
    ask = carrier.sent_between

    def answer(start, end, cursor=""):
        if start > message.attempt_ended_at:
            return page(record_of(other))
        first_window.append(cursor)
        return ask(start, end, cursor)

    carrier.sent_between = answer
    search_after(time_machine, 11)
    search_after(time_machine, 30)

    assert len(first_window) <= MAX_PAGES
    assert state_of(other) == "delivered"
    message.refresh_from_db()
    assert (message.state, message.searches) == ("unknown", 0)
    assert message.events.first().reason == "the carrier has too many records of that time to search for it"
    assert collect_status().texts.undecided == 1
    assert reconcile_trouble() == ""


def test_an_error_on_a_later_page_is_not_an_absence(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [page(next_cursor="a"), FAILED]

    search_after(time_machine, 61)

    message.refresh_from_db()
    assert (message.searches, errors()[1]) == (0, 1)


def test_what_was_found_before_an_error_is_settled(bob, carrier, time_machine):
    message = lose_answer(bob, carrier, "x" * 200)
    carrier.pages_of_records = [page(record_of(message), next_cursor="a"), FAILED]

    search_after(time_machine, 6)

    assert state_of(message) == "sent"
    assert errors() == ("the carrier's server failed (code 503)", 1)


def test_requests_are_limited_by_the_hour_and_the_search_goes_on_in_the_next(bob, carrier, time_machine, settings):
    settings.RECONCILE_REQUESTS_PER_HOUR = 2
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [page(next_cursor="a"), page(next_cursor="b")]

    search_after(time_machine, 6)
    for _ in range(50):
        search_after(time_machine, 1)
    assert len(carrier.searched) == 2
    assert "2 requests an hour" in reconcile_trouble()

    carrier.pages_of_records = [page(record_of(message))]
    search_after(time_machine, 15)

    assert len(carrier.searched) == 3
    assert state_of(message) == "delivered"
    assert reconcile_trouble() == ""


def test_there_is_a_pause_before_each_request(bob, carrier, time_machine, pauses):
    lose_answer(bob, carrier)
    carrier.pages_of_records = [page(next_cursor="a")]

    search_after(time_machine, 6)

    assert pauses == [0.2, 0.2]  # At most five requests a second: the carrier allows ten.


def test_after_an_error_the_next_search_waits_longer_each_time(bob, carrier, time_machine):
    lose_answer(bob, carrier)
    carrier.pages_of_records = [FAILED] * 100

    minutes = []
    for minute in range(1, 60):
        before = len(carrier.searched)
        search_after(time_machine, 1)
        if len(carrier.searched) > before:
            minutes.append(minute)

    assert minutes == [5, 6, 8, 12, 20, 35, 50]


def test_the_carrier_s_own_wait_is_respected(bob, carrier, time_machine):
    lose_answer(bob, carrier)
    carrier.pages_of_records = [TemporaryFailure("too many requests", code="429", retry_after=600)]
    search_after(time_machine, 6)

    search_after(time_machine, 9)
    assert len(carrier.searched) == 1
    search_after(time_machine, 2)
    assert len(carrier.searched) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AccountFault("the account may not use the Reports API", code="403"), "may not use the Reports API (code 403)"),
        (PermanentFailure("the Reports API cannot use this request", code="422"), "(code 422)"),
        (FAILED, "the carrier's server failed"),
        (ZeroDivisionError("+447700900001"), "an unexpected ZeroDivisionError"),
    ],
)
def test_a_lasting_error_is_a_trouble_and_ends_with_the_first_success(bob, carrier, time_machine, error, words):
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [error] * 4

    def search():
        with suppress(ZeroDivisionError):  # The thread logs it.
            reconcile()

    later(time_machine, 6 * MINUTE)
    search()
    assert reconcile_trouble() == ""  # One failed request is nothing.
    for _ in range(10):
        later(time_machine, MINUTE)
        search()
    trouble = reconcile_trouble()
    assert words in trouble
    assert "447700900001" not in trouble

    carrier.pages_of_records = [page(record_of(message))]
    later(time_machine, 20 * MINUTE)
    search()
    assert (reconcile_trouble(), errors()) == ("", ("", 0))
    assert state_of(message) == "delivered"


def test_an_error_is_no_trouble_once_nothing_is_left_to_search_for(bob, carrier, time_machine, settings):
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [FAILED] * 100
    for _ in range(15):
        search_after(time_machine, 1)
    assert reconcile_trouble()

    settings.RECONCILE = "off"
    assert reconcile_trouble() == ""
    settings.RECONCILE = "reports"
    message.cancel(reason="staff: do not send", actor="sam")

    assert reconcile_trouble() == ""


def test_there_is_no_trouble_before_the_first_search(db):
    assert reconcile_trouble() == ""


def test_one_worker_searches_at_a_time(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    asked = []

    def another_worker_starts(start, end, cursor=""):
        asked.append(start)
        reconcile()
        return page(record_of(message))

    carrier.sent_between = another_worker_starts
    search_after(time_machine, 6)

    assert len(asked) == 1
    assert state_of(message) == "delivered"


def test_the_lease_of_a_killed_worker_ends(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    later(time_machine, 6 * MINUTE)
    assert RecordSearch.take()
    reconcile()
    assert carrier.searched == []
    carrier.pages_of_records = [page(record_of(message))]

    later(time_machine, SEARCH_LEASE.total_seconds() + 1)
    reconcile()

    assert state_of(message) == "delivered"


def test_a_worker_that_slept_past_its_lease_stops_and_changes_nothing_of_the_next(db, time_machine):
    sleepy = RecordSearch.take()
    later(time_machine, SEARCH_LEASE.total_seconds() + 1)
    awake = RecordSearch.take()
    assert sleepy
    assert awake

    for step in (sleepy.spend, sleepy.succeed, lambda: sleepy.fail("late", timedelta(minutes=1))):
        with pytest.raises(SearchLeaseLost):
            step()

    assert RecordSearch.objects.get().busy_until == awake.busy_until
    awake.spend()


def test_a_stopping_worker_makes_no_further_request_and_leaves_the_search_to_the_next(
    bob, carrier, time_machine, monkeypatch
):
    monkeypatch.undo()  # The real pause, which ends with the worker.
    lose_answer(bob, carrier)
    later(time_machine, 6 * MINUTE)
    stop = threading.Event()
    stop.set()

    with retry.stop_on(stop), pytest.raises(retry.ShutdownRequested):
        reconcile()

    assert carrier.searched == []
    assert RecordSearch.objects.get().busy_until is None


@pytest.mark.postgres
def test_the_worker_reads_only_unknown_messages_to_see_what_is_due():
    with connection.cursor() as cursor:
        # Otherwise PostgreSQL reads a small table whole, even with an index.
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = OutboundMessage.objects.due_for_search(timezone.now())[:1000].explain()

    assert "outbound_unknown" in plan
    assert "Seq Scan" not in plan

"""The worker deletes in small batches, and walks each table again and again."""

import pytest

from conversations.models import (
    DeliveryReceipt,
    InboundMessage,
    MessageEvent,
    OutboundMessage,
)
from conversations.retention import delete_rows
from conversations.retention.delete_rows import OldRows
from conversations.worker.periodic_jobs import JOBS
from tests.support.outbox import later
from tests.support.retention import DAY, arrives, counts, pass_over, walk_again

pytestmark = pytest.mark.django_db


def test_a_pass_deletes_one_batch_of_a_table_and_the_next_goes_on(says, time_machine, monkeypatch):
    monkeypatch.setattr(delete_rows, "BATCH", 2)
    for number in range(5):
        says(f"{number}")
    later(time_machine, 366 * DAY)

    job, left = OldRows(), []
    while job():
        left.append(counts(OutboundMessage, InboundMessage))

    assert left[:3] == [[3, 3], [1, 1], [0, 0]]


def test_a_pass_ends_at_its_time_and_the_next_one_begins_with_the_next_table(says, time_machine):
    arrives(says("one"))
    later(time_machine, 366 * DAY)
    moment = iter(range(1000))
    job = OldRows(clock=lambda: float(next(moment)))

    job()
    assert counts(MessageEvent, DeliveryReceipt, OutboundMessage) == [0, 1, 1]
    job()
    assert counts(MessageEvent, DeliveryReceipt, OutboundMessage) == [0, 0, 1]
    job()
    assert counts(MessageEvent, DeliveryReceipt, OutboundMessage) == [0, 0, 0]


def test_the_workers_run_the_job():
    assert "delete_old_rows" in [job.__name__ for job in JOBS]


def test_a_job_with_nothing_to_do_rests(django_assert_num_queries):
    now = [0.0]
    job = OldRows(clock=lambda: now[0])
    job()

    now[0] = delete_rows.REST - 1
    with django_assert_num_queries(0):
        assert job() == 0


def test_an_old_row_behind_the_walk_is_found_a_day_later(says, time_machine):
    message = says("one")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")
    later(time_machine, 366 * DAY)
    pass_over()
    OutboundMessage.objects.filter(pk=message.pk).update(state="failed")
    pass_over()
    assert OutboundMessage.objects.exists()

    walk_again(time_machine)

    assert not OutboundMessage.objects.exists()

"""What a process counts reaches the table of counters once, whatever happens to the process and the database."""

import os
import threading

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from conversations.models import InboundOutcome, MessageKind
from conversations.models.outbound_counts import FailureReason
from numbers.models.real_number import PersonState
from smsproxy.carriers.base import Carrier
from smsproxy.carriers.counted import CALLS
from smsproxy.metrics import counting, flush
from smsproxy.metrics.counting import count, count_on_commit, flusher, observe
from smsproxy.metrics.families import (
    CARRIER_CALLS,
    FAILED,
    FAMILIES,
    OPT_OUT_CHANGES,
    RECEIVED,
    RELAYED,
    SENT,
    WEBHOOK_ACK,
    WEBHOOKS,
)
from smsproxy.metrics.flush import Flusher
from smsproxy.metrics.models import MetricValue
from tests.support.builders import ALICE
from tests.support.concurrency import at_once
from tests.support.scraping import of

pytestmark = pytest.mark.django_db


def stored():
    return {str(row): row.value for row in MetricValue.objects.all()}


def test_counts_of_many_events_are_written_by_one_statement():
    for _ in range(1000):
        count(WEBHOOKS, endpoint="inbound-sms", result="accepted")
        count(SENT, kind="relay")

    with CaptureQueriesContext(connection) as queries:
        flusher.flush()
        flusher.flush()

    assert len(queries) == 1
    assert stored() == {
        "smsproxy_messages_sent_total kind=relay": 1000,
        "smsproxy_webhooks_total endpoint=inbound-sms,result=accepted": 1000,
    }


def test_counts_add_to_those_that_are_stored():
    for _ in range(3):
        count(RELAYED, 2)
        flusher.flush()

    assert stored() == {"smsproxy_messages_relayed_total": 6}


def test_counts_wait_in_memory_while_the_database_is_away(monkeypatch, caplog):
    def fail(*args, **options):
        raise OperationalError("connection to +447700900001 refused")

    with monkeypatch.context() as away:
        away.setattr(flush, "run_with_deadline", fail)
        for _ in range(50):
            count(RELAYED)
            flusher.flush()
    before = stored()
    count(RELAYED)
    flusher.flush()

    assert (before, stored()) == ({}, {"smsproxy_messages_relayed_total": 51})
    assert caplog.text.count("wait for the database: OperationalError") == 1
    assert "7700" not in caplog.text


def test_a_rolled_back_event_is_not_counted(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            count_on_commit(RELAYED)
            transaction.set_rollback(True)
        with transaction.atomic():
            count_on_commit(SENT, kind="relay")
    flusher.flush()

    assert stored() == {"smsproxy_messages_sent_total kind=relay": 1}


def test_a_duration_is_in_the_first_bucket_that_holds_it(scrape):
    for seconds in (-1, 0.004, 0.005, 0.3, 11):
        observe(WEBHOOK_ACK, seconds, endpoint="inbound-sms")

    found = scrape()

    def bucket(bound):
        return found[of("webhook_ack_seconds_bucket", endpoint="inbound-sms", le=bound)]

    assert [bucket(bound) for bound in ("0.005", "0.01", "0.25", "0.5", "10.0", "+Inf")] == [3, 3, 3, 4, 4, 5]
    assert found[of("webhook_ack_seconds_count", endpoint="inbound-sms")] == 5
    assert found[of("webhook_ack_seconds_sum", endpoint="inbound-sms")] == pytest.approx(11.309)
    assert found[of("webhook_ack_seconds_count", endpoint="delivery-receipt")] == 0


@pytest.mark.parametrize("labels", [{}, {"kind": "relay", "number": "x"}, {"number": "x"}, {"kind": ALICE}])
def test_an_unknown_label_or_value_is_reported_and_not_stored(monkeypatch, caplog, labels):
    with pytest.raises(ValueError, match="smsproxy_messages_sent") as error:
        count(SENT, **labels)
    assert ALICE not in str(error.value)

    monkeypatch.setattr(counting, "_reject", counting_reject)
    count(SENT, **labels)
    flusher.flush()

    assert stored() == {}
    assert "an event was not counted" in caplog.text


counting_reject = counting._reject  # Before a fixture replaces it.


def test_the_values_of_the_labels_are_those_of_the_code():
    verbs = {name for name in Carrier.__abstractmethods__ if "webhook" not in name and not name.startswith("parse_")}

    assert set(RECEIVED.possible("outcome")) == set(InboundOutcome.values)
    assert set(SENT.possible("kind")) == set(MessageKind.values)
    assert set(FAILED.possible("reason")) == set(FailureReason)
    assert set(OPT_OUT_CHANGES.possible("to")) == set(PersonState.values)
    assert verbs - {"harmless_receipt"} <= set(CARRIER_CALLS.possible("call")) == CALLS


def test_the_table_stays_small():
    """Every series that can exist, with routes and statuses that cannot come together."""
    series = 0
    for family in FAMILIES:
        sizes = [len(family.possible(label)) for label in family.labels]
        product = 1
        for size in sizes:
            product *= size
        series += product

    assert series < 20_000


def test_a_child_process_does_not_write_the_counts_of_its_parent():
    count(RELAYED)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr(counting.take()).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reading, 1000) == b"{}"
    assert counting.take()


def test_the_thread_starts_with_the_first_count_and_sleeps_without_any(monkeypatch):
    written = threading.Semaphore(0)
    counts = {}

    def take():
        taken = dict(counts)
        counts.clear()
        written.release()
        return taken

    monkeypatch.setattr(flush, "INTERVAL", 0.0)
    monkeypatch.setattr(flush, "run_with_deadline", lambda work, seconds: None)
    before = threading.active_count()
    flusher = Flusher(take, counts.update)
    assert threading.active_count() == before
    for _ in range(3):
        counts["a", ""] = 1
        flusher.wake()
        assert written.acquire(timeout=20)

    assert threading.active_count() == before + 1
    assert not written.acquire(timeout=0.05)  # It would spin otherwise.


def test_an_exiting_process_writes_its_counts(monkeypatch):
    monkeypatch.setattr(connections, "close_all", lambda: None)  # Keep the test's own connection open.
    count(RELAYED)

    flusher._write_at_exit()

    assert stored() == {"smsproxy_messages_relayed_total": 1}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_counts_of_many_processes_at_once_add_up_exactly():
    """Each thread stands for a process: it has its own counts and its own connection."""

    def work(index):
        counts = {}

        def take():
            taken = dict(counts)
            counts.clear()
            return taken

        flusher = Flusher(take, counts.update)
        for turn in range(20):
            # In another order in each of them, which would deadlock if the rows were not sorted.
            for name in sorted("abcdefgh", key=lambda name: hash((name, index, turn))):
                counts[name, ""] = index + 1
            flusher.flush()
            assert not counts

    at_once(4, work)

    assert stored() == dict.fromkeys("abcdefgh", 20 * (1 + 2 + 3 + 4))

"""The loop of the worker, run in a thread, and its periodic jobs."""

import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from conversations.delivery import relay, results, wakeup
from conversations.delivery.claim import claim
from conversations.delivery.heartbeat import Heartbeat
from conversations.delivery.relay import Relay
from conversations.intake import receive
from conversations.models import AccountRateLimit, Conversation, OutboundMessage, Participant, Worker
from conversations.worker import periodic_jobs, process
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.outbox import later, queue, state_of, work
from tests.support.relay_process import wait_until

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
class TestLoop:
    @pytest.fixture(autouse=True)
    def _polls_often(self, monkeypatch):
        monkeypatch.setattr(relay, "POLL", 0.1)

    @pytest.fixture
    def run(self):
        """Return a function that runs the worker in a thread until the test ends."""
        stop = threading.Event()
        threads = []

        def run():
            thread = threading.Thread(target=process.run, args=[Relay(concurrency=4), stop])
            threads.append(thread)
            thread.start()
            return thread

        yield run
        stop.set()
        wakeup.wake.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    @pytest.fixture
    def bob(self, transactional_db):
        add_numbers(3)
        return members(talk(ALICE, BOB))[1]

    def test_the_loop_sends_messages_queued_while_it_runs(self, bob, carrier, run):
        run()
        queue(bob, "1", "2", "3")

        wait_until(lambda: len(carrier.sent) == 3)
        wait_until(lambda: not OutboundMessage.objects.unfinished().exists())

        assert [text.text for text in carrier.sent] == ["1", "2", "3"]

    def test_a_stopping_loop_finishes_the_messages_in_flight(self, bob, carrier):
        started, go_on, stop = threading.Event(), threading.Event(), threading.Event()

        def slowly(text):
            started.set()
            assert go_on.wait(60)
            return carrier.accept(text)

        carrier.script = [slowly]
        [message, waiting] = queue(bob, "in flight", "waiting")
        worker = threading.Thread(target=process.run, args=[Relay(), stop])
        worker.start()
        assert started.wait(60)

        stop.set()
        # Give the loop time to see the stop request. Messages claimed before that are still sent.
        worker.join(2 * relay.POLL)
        assert worker.is_alive()
        go_on.set()
        worker.join(60)

        assert not worker.is_alive()
        assert state_of(message) == "sent"
        assert state_of(waiting) == "queued"

    def test_a_result_that_cannot_be_recorded_blocks_no_other(self, bob, carrier, run, monkeypatch):
        first, second = queue(bob, "first", "second")
        real = results.record_all
        monkeypatch.setattr(
            relay, "record_all", lambda results: 1 / 0 if first.pk in [r.message.pk for r in results] else real(results)
        )
        run()
        wait_until(lambda: state_of(first) == "sending" and carrier.sent)
        OutboundMessage.objects.filter(pk=first.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        wait_until(lambda: state_of(first) == "unknown")
        OutboundMessage.objects.filter(pk=first.pk).update(due_at=timezone.now())

        wait_until(lambda: state_of(second) == "sent")

        assert len(carrier.sent) == 2

    def test_a_brief_database_outage_loses_no_result(self, bob, carrier, run, monkeypatch):
        real, failures = results.record_all, iter([True, True])

        def record_all(results):
            if next(failures, False):
                raise OperationalError("connection lost")
            return real(results)

        monkeypatch.setattr(relay, "record_all", record_all)
        [message] = queue(bob, "hello")
        run()

        wait_until(lambda: state_of(message) == "sent")

        assert len(carrier.sent) == 1


def test_relay_once_runs_the_periodic_jobs_and_sends_due_messages(bob, carrier):
    [message] = queue(bob, "hello")
    Conversation.objects.filter(pk=bob.conversation.pk).update(expires_at=timezone.now())

    call_command("relay", "--once")

    assert state_of(message) == "sent"
    bob.conversation.refresh_from_db()
    assert bob.conversation.closed_reason == "expired"


def test_a_poll_claims_only_if_a_message_is_queued_and_from_time_to_time(bob, carrier, monkeypatch):
    claims, clock, worker = [], [100.0], Relay()
    monkeypatch.setattr(relay, "claim", lambda limit: claims.append(clock[0]) or claim(limit))
    monkeypatch.setattr("conversations.delivery.relay.time.monotonic", lambda: clock[0])
    worker._claim(1)
    worker._is_woken = False  # as after a poll's time is over

    clock[0] += relay.CLAIM_EVERY - 1
    worker._claim(1)
    assert claims == [100]

    queue(bob, "hello")
    assert len(worker._claim(1).messages) == 1

    clock[0] += relay.CLAIM_EVERY
    worker._claim(1)
    assert len(claims) == 3


def test_a_failing_periodic_job_does_not_stop_the_others(bob, monkeypatch):
    def fail():
        raise OperationalError("statement timeout")

    monkeypatch.setattr(periodic_jobs, "JOBS", [fail, periodic_jobs.close_expired])
    conversation = bob.conversation
    Conversation.objects.filter(pk=conversation.pk).update(expires_at=timezone.now())

    run_jobs()

    conversation.refresh_from_db()
    assert conversation.closed_reason == "expired"


def test_a_periodic_job_handles_one_batch_per_run(db, monkeypatch):
    monkeypatch.setattr(periodic_jobs, "BATCH_SIZE", 2)
    add_numbers(10)
    for index in range(5):
        talk(ALICE, f"+4477007{index:05}")
    Conversation.objects.update(expires_at=timezone.now())

    bites = [periodic_jobs.close_expired() for _ in range(4)]

    assert bites == [2, 2, 1, 0]


def test_a_message_that_expires_during_a_pause_fails_and_its_sender_gets_a_notice(db, carrier, time_machine, settings):
    settings.MESSAGE_MAX_AGE_SECONDS = 60
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    AccountRateLimit.pause("no credit", 600)
    receive.receive(InboundText(carrier_message_id="hello", sender=ALICE, recipient=to, text="hello"))
    relayed = OutboundMessage.objects.get()
    later(time_machine, 61)

    run_jobs()
    work()

    assert state_of(relayed) == "failed"
    [notice] = OutboundMessage.objects.exclude(pk=relayed.pk)
    assert (notice.recipient.number, notice.text) == (ALICE, settings.UNDELIVERED_NOTICE)
    assert carrier.sent == []


def test_only_pairs_past_their_cool_down_are_released(carrier, time_machine, settings):
    add_numbers(4)
    still_open, cooling, cold = talk(ALICE, BOB), talk(ALICE, CHARLIE), talk(BOB, CHARLIE)
    cold.close()
    later(time_machine, settings.COOL_DOWN_SECONDS - 10)
    cooling.close()
    later(time_machine, 20)

    run_jobs()

    unreleased = set(Participant.objects.unreleased().values_list("conversation", flat=True))
    assert unreleased == {still_open.pk, cooling.pk}


def test_a_worker_without_a_heartbeat_for_a_day_is_purged(db, time_machine):
    Heartbeat(concurrency=1).beat(0, "")
    run_jobs()
    assert Worker.objects.count() == 1

    later(time_machine, 24 * 3600 + 1)
    run_jobs()

    assert Worker.objects.count() == 0


def test_failing_steps_are_logged_at_the_beginning_each_minute_and_at_the_end(db, monkeypatch, caplog):
    worker, now, fails = Relay(), [1000.0], [True]
    no_pool: Any = None

    def step(pool, *, claim):
        if fails[0]:
            raise OperationalError
        return 0.0

    monkeypatch.setattr(worker, "_step", step)
    monkeypatch.setattr(relay, "connection", SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(relay, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None))
    for _ in range(130):
        worker._iterate(no_pool, claim=True)
        now[0] += 0.5
    fails[0] = False
    for _ in range(3):
        worker._iterate(no_pool, claim=True)

    lines = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert lines == ["a step of the relay failed", "a step of the relay failed", "the steps of the relay succeed again"]

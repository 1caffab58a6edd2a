"""Several workers at once: their heartbeats, their wake-ups, and the jobs that only one of them runs."""

import signal
import sqlite3
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from conversations.delivery import claim as claim_module
from conversations.delivery import outbox, wakeup
from conversations.delivery.claim import claim
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.models import AccountRateLimit, NumberRateLimit, OutboundMessage, Worker
from conversations.models.worker import DEAD_AFTER
from conversations.worker import periodic_jobs
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import TemporaryFailure
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.concurrency import at_once
from tests.support.gunicorn_process import Gunicorn
from tests.support.outbox import later, queue
from tests.support.relay_process import Relays, wait_until

on_postgres = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture
def relays(tmp_path, stub):
    with Relays(tmp_path, stub) as relays:
        yield relays


def is_listening():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %s",
            [f"LISTEN {wakeup.CHANNEL}%"],
        )
        return cursor.fetchone()[0] == 1


def a_person():
    add_numbers(2)
    return members(talk(ALICE, BOB))[1]


class TestOnPostgreSQL:
    pytestmark = on_postgres

    def test_a_worker_sends_heartbeats_and_signs_off_and_a_killed_one_falls_silent(self, relays):
        stopped, killed = relays.start(), relays.start()
        relays.wait_for(stopped)
        relays.wait_for(killed)
        assert Worker.objects.alive(timezone.now()).count() == 2
        first_sign = Worker.objects.get(name__contains=f"process {killed.pid} ").seen_at

        stopped.terminate()
        assert stopped.wait(60) == 0
        row = Worker.objects.get()
        wait_until(lambda: Worker.objects.get().seen_at > first_sign)
        killed.send_signal(signal.SIGKILL)
        killed.wait()

        assert f"process {killed.pid} " in row.name
        assert Worker.objects.count() == 1
        assert not Worker.objects.alive(timezone.now() + timedelta(seconds=DEAD_AFTER)).exists()

    def test_a_worker_keeps_its_limit_of_concurrent_calls(self, relays, stub):
        latency = 1.0  # Long enough for a slow machine to begin three calls.
        stub.behave(latency=latency)
        add_numbers(9)
        for index in range(9):
            outbox.queue_notice(members(talk(ALICE, f"+4477007{index:05}"))[1], "hello")

        relays.start("--concurrency", "3")
        taken = []

        def is_done():
            taken.append(OutboundMessage.objects.filter(state="sending").count())
            return not OutboundMessage.objects.unfinished().exists()

        wait_until(is_done)

        arrivals = [request["at"] for request in stub.requests]
        at_once = [sum(at - latency < other <= at for other in arrivals) for at in arrivals]
        assert max(at_once) == 3
        assert max(taken) <= 3

    def test_a_message_queued_by_one_process_wakes_the_workers_of_others(self, relays, stub):
        """The worker polls only every five minutes, so a notification must wake it."""
        bob = a_person()
        relays.wait_for(relays.start(changes="from conversations.delivery import relay; relay.POLL = 300"))

        for number in range(1, 4):
            wait_until(is_listening)
            wait_until(lambda: not OutboundMessage.objects.unfinished().exists())
            time.sleep(1)  # Until only the new message can wake it.
            outbox.queue_notice(bob, "hello")
            wait_until(lambda number=number: len(stub.requests) == number)

    def test_a_message_queued_before_a_worker_listens_is_sent_when_it_listens(self, relays, stub, tmp_path):
        bob, go_on = a_person(), tmp_path / "go on"
        worker = relays.start(
            changes=f"""
from pathlib import Path
from conversations.delivery import relay, wakeup
relay.POLL = 300
listen = wakeup.Listener._listen
def late(self):
    while not Path({str(go_on)!r}).exists():
        self._stopping.wait(0.05)
    listen(self)
wakeup.Listener._listen = late
"""
        )
        relays.wait_for(worker)
        time.sleep(1)  # Until its first turn, which finds nothing, is over.
        outbox.queue_notice(bob, "hello")

        go_on.touch()

        wait_until(lambda: len(stub.requests) == 1)

    def test_a_worker_polls_without_a_notification(self, relays, stub):
        bob = a_person()
        worker = relays.start(changes="from conversations.delivery import wakeup; wakeup.CHANNEL = 'another'")
        relays.wait_for(worker)

        outbox.queue_notice(bob, "hello")

        wait_until(lambda: len(stub.requests) == 1)

    def test_periodic_jobs_run_in_one_worker_at_a_time(self, monkeypatch):
        runs, started, go_on = [], threading.Event(), threading.Event()

        def slowly():
            runs.append(threading.current_thread())
            started.set()
            assert go_on.wait(60)
            return 0

        def sweep_and_close():
            run_jobs()
            connection.close()

        monkeypatch.setattr(periodic_jobs, "JOBS", [slowly])
        first = threading.Thread(target=sweep_and_close)
        first.start()
        assert started.wait(60)

        run_jobs()
        assert runs == [first]
        go_on.set()
        first.join()
        run_jobs()

        assert len(runs) == 2

    def test_a_pause_set_during_another_workers_claim_holds(self, monkeypatch):
        bob = a_person()
        AccountRateLimit.load()
        outbox.queue_notice(bob, "first")
        is_claiming, is_paused = threading.Event(), threading.Event()
        write = claim_module._store

        def write_late(paces):
            is_claiming.set()
            is_paused.wait(1)  # Not longer: the pause may have to wait for us.
            write(paces)

        def claim_and_close():
            claim(1)
            connection.close()

        monkeypatch.setattr(claim_module, "_store", write_late)
        other = threading.Thread(target=claim_and_close)
        other.start()
        assert is_claiming.wait(60)
        NumberRateLimit.objects.wait(bob.proxy_number, 30, "throttled")
        is_paused.set()
        other.join()

        assert NumberRateLimit.objects.get().ready_at > timezone.now() + timedelta(seconds=20)

    def test_concurrent_claims_keep_the_rate_limit_of_the_account(self, monkeypatch, settings):
        settings.CARRIER_REQUESTS_PER_SECOND = 1
        AccountRateLimit.load()
        numbers = add_numbers(8)
        for number in numbers:
            queue(members(talk(ALICE, f"+4477007{number.pk:05}"))[0], "hello")
        heads, all_look, places = claim_module._sendable_heads, threading.Barrier(8), iter(numbers)

        def look(now, limit, **options):
            with suppress(threading.BrokenBarrierError):
                all_look.wait(0.5)  # Not longer: the others may have to wait for us.
            return heads(now, limit, of=[next(places).pk])

        monkeypatch.setattr(claim_module, "_sendable_heads", look)
        began = time.monotonic()
        taken = [message for messages in at_once(8, lambda _: claim(1).messages) for message in messages]
        seconds = time.monotonic() - began

        assert 1 <= len(taken) <= 1 + seconds


def test_sqlite_allows_one_worker_and_a_new_one_right_after_kill_9(tmp_path, stub):
    server = Gunicorn(tmp_path)
    server.migrate()

    def workers():
        with sqlite3.connect(tmp_path / "db.sqlite3") as database:
            [[number]] = database.execute("SELECT count(*) FROM conversations_worker")
        database.close()
        return number

    with Relays(tmp_path, stub, DATABASE_URL=server.environment["DATABASE_URL"]) as relays:
        first = relays.start()
        wait_until(lambda: workers() == 1)
        second = relays.start()
        assert second.wait(60) == 1
        assert "A relay is already working on this SQLite database" in relays.log
        assert "Traceback" not in relays.log
        assert first.poll() is None

        first.kill()
        first.wait()
        next_one = relays.start()
        wait_until(lambda: workers() == 2)
        assert next_one.poll() is None


def test_an_overtaken_probe_does_not_release_a_third_one(bob, time_machine, settings):
    other = members(talk(ALICE, CHARLIE))[1]
    queue(bob, "first probe")
    queue(other, "second probe")
    AccountRateLimit.pause("out of service", 1)
    later(time_machine, 2)
    [slept] = claim(2).messages
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    [probe] = claim(2).messages
    assert probe.message.pk != slept.message.pk

    record(Result(slept, TemporaryFailure("its lease was about to run out"), is_ours=True))
    later(time_machine, 2)

    assert claim(2).messages == []

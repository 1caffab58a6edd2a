"""A worker searches the carrier's records in a thread of its own, if RECONCILE is on, and survives failures."""

import threading

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from conversations.delivery.relay import Relay
from conversations.worker import process, reconcile_thread
from conversations.worker.reconcile_thread import ReconcileThread
from smsproxy.simulator.carrier import SimulatorCarrier
from smsproxy.simulator.models import FaultKind, Verb
from tests.support.builders import members, talk
from tests.support.outbox import later, queue, state_of
from tests.support.relay_process import wait_until
from tests.support.searches import MINUTE
from tests.support.simulated import fault

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def person(run):
    """Return a person in a conversation on the simulated network."""
    run("provision_numbers", "--country", "GB", "--count", "2", "--yes")
    return members(talk("+447700900801", "+447700900802"))[1]


@pytest.mark.parametrize("words", ["hello", "x" * 200])
def test_on_the_simulated_network_a_message_without_reply_or_receipt_is_settled(person, time_machine, settings, words):
    settings.RECONCILE = "reports"
    fault(Verb.SEND, FaultKind.SILENCE)
    [message] = queue(person, words)
    call_command("relay", "--once")
    assert state_of(message) == "unknown"

    later(time_machine, 6 * MINUTE)
    call_command("relay", "--once")

    assert state_of(message) == "delivered"
    assert message.parts.count() == message.segments


def test_on_the_simulated_network_a_lost_request_is_not_seen(person, time_machine, settings):
    settings.RECONCILE = "reports"
    fault(Verb.SEND, FaultKind.LOST_REQUEST)
    [message] = queue(person, "hello")
    call_command("relay", "--once")

    later(time_machine, 61 * MINUTE)
    call_command("relay", "--once")

    message.refresh_from_db()
    assert message.is_not_seen


def test_no_transaction_is_open_while_the_carrier_is_asked(person, settings, time_machine, monkeypatch):
    """The carrier is asked outside of any transaction: it may take a minute to answer."""
    settings.RECONCILE = "reports"
    fault(Verb.SEND, FaultKind.SILENCE)
    queue(person, "hello")
    call_command("relay", "--once")
    seen = []
    ask = SimulatorCarrier.sent_between

    def note(self, *window):
        seen.append(connection.in_atomic_block)
        return ask(self, *window)

    monkeypatch.setattr(SimulatorCarrier, "sent_between", note)
    later(time_machine, 6 * MINUTE)
    call_command("relay", "--once")

    assert seen == [False]


def test_a_failed_round_is_logged_by_exception_type_and_repeated(monkeypatch, caplog, db):
    monkeypatch.setattr(reconcile_thread, "EVERY", 0.01)
    rounds = []

    def fail():
        rounds.append(1)
        raise OperationalError("+447700900001")

    monkeypatch.setattr(reconcile_thread, "reconcile", fail)
    stop = threading.Event()
    thread = ReconcileThread(stop)
    thread.start()
    wait_until(lambda: len(rounds) > 2)
    stop.set()
    thread.join(60)

    assert not thread.is_alive()
    assert "searching the carrier's records failed: OperationalError; trying again" in caplog.text
    assert "447700900001" not in caplog.text


@pytest.mark.parametrize(("reconcile", "started"), [("off", 0), ("reports", 1)])
def test_a_worker_has_the_thread_only_if_reconcile_is_on(settings, monkeypatch, reconcile, started, db):
    settings.RECONCILE = reconcile
    threads = []

    class Noted(ReconcileThread):
        def start(self):
            threads.append(self)
            super().start()

    monkeypatch.setattr(process, "ReconcileThread", Noted)
    stop = threading.Event()
    process.run(Relay(concurrency=1), stop, started=stop.set)

    assert len(threads) == started
    assert not any(thread.is_alive() for thread in threads)

"""The circuit breaker: a worker that cannot reach the carrier waits alone and costs other workers nothing."""

from contextlib import contextmanager

import pytest
from django.utils import timezone

from conversations.delivery.circuit_breaker import FAILURE_THRESHOLD
from conversations.delivery.claim import claim
from conversations.delivery.heartbeat import Heartbeat
from conversations.delivery.relay import Relay
from conversations.insight.troubles.kinds import Trouble
from conversations.models import AccountRateLimit, OutboundMessage, Worker
from smsproxy.carriers.base import AccountFault, FaultScope, OutcomeUnknown, TemporaryFailure
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.outbox import later, queue, state_of, work
from tests.support.troubles import active_troubles

pytestmark = pytest.mark.django_db

UNREACHABLE = TemporaryFailure("the carrier cannot be reached", scope=FaultScope.WORKER)


@pytest.fixture
def people(db):
    """Return eight people, each with a line of their own."""
    add_numbers(3)
    return [members(talk(f"+4477008{index:05}", f"+4477007{index:05}"))[1] for index in range(8)]


@contextmanager
def always(carrier, error):
    """Make every call to the carrier in this block raise the error."""
    accept = carrier.accept

    def fail(text):
        raise error

    carrier.accept = fail
    yield
    carrier.accept = accept


def turn(worker, limit=4):
    """Run one iteration of the worker loop. Return the number of claimed messages."""
    taken = worker._claim(limit).messages
    for message in taken:
        worker._send(message)
    worker._record_results()
    return len(taken)


def test_other_workers_send_the_messages_of_a_cut_off_worker(people, carrier):
    messages = [queue(person, "hello")[0] for person in people]
    cut_off = Relay()

    with always(carrier, UNREACHABLE):
        assert turn(cut_off) == 4
    assert not AccountRateLimit.load().is_paused
    work()

    assert {state_of(message) for message in messages} == {"sent"}
    assert {message.failures for message in messages} == {0}


def test_a_cut_off_worker_tries_one_message_after_each_doubled_wait(people, carrier, time_machine):
    for person in people:
        queue(person, "hello")
    cut_off = Relay()

    with always(carrier, UNREACHABLE):
        taken = [turn(cut_off)]
        for seconds in (0, 1.1, 1.1, 2.1, 4.1):
            later(time_machine, seconds)
            taken.append(turn(cut_off))

    assert taken[:3] == [4, 0, 1]
    assert taken[3:] != [1, 1, 1]
    later(time_machine, 60)
    assert [turn(cut_off), turn(cut_off)] == [1, 4]


def test_a_cut_off_worker_leaves_account_probes_to_other_workers(people, carrier, time_machine):
    carrier.script = [AccountFault("no credit", code="9")]
    messages = [queue(person, "hello")[0] for person in people]
    work()
    later(time_machine, 61)
    cut_off = Relay()

    with always(carrier, UNREACHABLE):
        assert turn(cut_off) == 1
    assert AccountRateLimit.load().failures == 0
    work()

    assert {state_of(message) for message in messages} == {"sent"}


def test_a_carrier_that_never_answers_leaves_only_a_few_unknown_outcomes(people, carrier):
    for person in people:
        queue(person, "hello")
    worker = Relay()

    with always(carrier, OutcomeUnknown("read timeout")):
        while turn(worker, limit=1):
            pass

    assert OutboundMessage.objects.filter(state="unknown").count() == FAILURE_THRESHOLD
    assert OutboundMessage.objects.filter(state="queued").count() == len(people) - FAILURE_THRESHOLD
    assert not AccountRateLimit.load().is_paused


def test_timeouts_with_an_answer_in_between_do_not_open_the_circuit_breaker(people, carrier):
    silent, answered = OutcomeUnknown("read timeout"), carrier.accept
    carrier.script = [silent, silent, silent, silent, answered, silent, silent, silent]
    for person in people:
        queue(person, "hello")
    worker = Relay()

    taken = [turn(worker, limit=1) for _ in people]

    assert taken == [1] * 8


def test_an_open_circuit_breaker_raises_an_alert_for_staff(people, carrier):
    queue(people[0], "hello")
    worker = Relay()
    worker._heartbeat.beat(0, worker._reach.trouble)
    assert Trouble.WORKER_WAITS not in active_troubles()

    with always(carrier, UNREACHABLE):
        turn(worker)
    worker._heartbeat.beat(0, worker._reach.trouble)

    assert Worker.objects.get().trouble == "the carrier cannot be reached"
    assert "the carrier cannot be reached" in active_troubles()[Trouble.WORKER_WAITS]


@pytest.mark.postgres
@pytest.mark.parametrize("seconds", [7200, -7200])
def test_a_worker_with_a_wrong_clock_does_not_work(shift_host, seconds):
    assert not Heartbeat(1).beat(0, "")

    shift_host(seconds)

    assert Heartbeat(1).beat(0, "")
    assert "its clock is 7200 s" in Worker.objects.order_by("pk").last().trouble


def test_a_clock_that_was_temporarily_wrong_blocks_no_later_claim(carrier, time_machine):
    add_numbers(2)
    bob = members(talk(ALICE, BOB))[1]
    queue(bob, "in the future")
    later(time_machine, 50_000)
    work()
    assert len(carrier.sent) == 1
    queue(bob, "and today")

    later(time_machine, -50_000)
    OutboundMessage.objects.update(due_at=timezone.now())

    assert len(claim(1).messages) == 1

"""An account fault pauses all sending, until a probe or staff end the pause."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.delivery.claim import claim
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.models import AccountRateLimit, OutboundMessage
from smsproxy.carriers.base import (
    AccountFault,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    SenderFault,
    TemporaryFailure,
)
from tests.support.outbox import later, queue, sent_texts, state_of, work

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "fault",
    [
        AccountFault("no credit", code="9"),
        TemporaryFailure("out of service", code="503", scope=FaultScope.ACCOUNT),
        TemporaryFailure("throttled", code="429", retry_after=3, scope=FaultScope.ACCOUNT),
    ],
)
def test_an_account_fault_pauses_all_sending_and_loses_nothing(people, carrier, time_machine, fault):
    carrier.script = [fault]
    messages = [queue(person, f"{place}")[0] for place, person in enumerate(people)]

    work()

    assert len(carrier.sent) == 1
    assert {state_of(message) for message in messages} == {"queued"}
    account = AccountRateLimit.load()
    assert (account.state, account.pause_reason, account.code) == ("paused", fault.detail, fault.code)
    assert account.paused_at is not None
    assert account.events.get().reason == fault.detail
    later(time_machine, 61)
    work()
    assert {state_of(message) for message in messages} == {"sent"}


def test_one_probe_at_a_time_tests_a_paused_account(people, carrier, time_machine):
    carrier.script = [AccountFault("no credit", code="9")] * 4
    for person in people:
        queue(person, "hello")

    for minute in range(1, 5):
        work()
        assert len(carrier.sent) == minute
        later(time_machine, 61)
    work()

    assert len(carrier.sent) == 4 + len(people)
    events = AccountRateLimit.load().events.order_by("id").values_list("new_state", flat=True)
    assert list(events) == ["paused", "sending"]


def test_nothing_is_sent_while_a_probe_is_in_flight(people, carrier, time_machine):
    AccountRateLimit.pause("no credit", 60)
    for person in people:
        queue(person, "hello")
    later(time_machine, 61)

    [probe] = claim(10).messages

    assert probe.is_probe
    assert claim(10).messages == []


def test_a_probe_whose_worker_died_is_replaced_after_its_lease(people, carrier, time_machine, settings):
    AccountRateLimit.pause("no credit", 60)
    for person in people:
        queue(person, "hello")
    later(time_machine, 61)
    claim(10)

    later(time_machine, settings.SEND_LEASE_SECONDS + 1)

    assert len(claim(10).messages) == 1


def test_a_probe_with_a_permanent_failure_ends_the_account_pause(people, carrier, time_machine):
    carrier.script = [AccountFault("no credit", code="9"), PermanentFailure("barred", code="7")]
    for person in people:
        queue(person, "hello")
    work()
    later(time_machine, 61)

    work()

    assert not AccountRateLimit.load().is_paused
    assert OutboundMessage.objects.filter(state="sent").count() == 5


def test_a_probe_that_is_not_sent_is_replaced_by_another(people, carrier, time_machine, settings):
    settings.MESSAGE_MAX_AGE_SECONDS = 30
    AccountRateLimit.pause("no credit", 60)
    [too_old] = queue(people[0], "too old")
    later(time_machine, 61)
    for person in people[1:]:
        queue(person, "hello")

    work()

    assert state_of(too_old) == "failed"
    assert sent_texts(carrier) == ["hello"] * 5


def test_failures_of_messages_in_flight_do_not_extend_the_pause(people, carrier):
    for person in people:
        queue(person, "hello")
    under_way = claim(10).messages
    for message in under_way:
        record(Result(message, TemporaryFailure("out of service", retry_after=10, scope=FaultScope.ACCOUNT)))

    account = AccountRateLimit.load()

    assert account.failures == 0
    assert account.ready_at <= timezone.now() + timedelta(seconds=10)


def test_a_success_from_before_the_pause_does_not_end_it(people, carrier):
    for person in people:
        queue(person, "hello")
    first, second, *_ = claim(10).messages
    record(Result(first, AccountFault("no credit", code="9")))

    record(Result(second, carrier.accept(second.as_outgoing())))

    assert AccountRateLimit.load().is_paused


@pytest.mark.parametrize(
    ("end", "expected"), [(min, [1, 1, 2, 4, 8, 16, 30, 30, 30]), (max, [1, 2, 4, 8, 16, 32, 60, 60, 60])]
)
def test_each_failed_probe_doubles_the_backoff_up_to_a_minute_with_jitter(
    people, carrier, clock, monkeypatch, end, expected
):
    monkeypatch.setattr("random.uniform", lambda low, high: end(low, high))
    carrier.script = [TemporaryFailure("unreachable", scope=FaultScope.ACCOUNT)] * 10
    queue(people[0], "hello")
    waits = []

    for _ in expected:
        work()
        waits.append(AccountRateLimit.load().ready_at - timezone.now())
        clock(waits[-1])

    assert [wait.total_seconds() for wait in waits] == expected


def test_a_probe_with_an_unknown_outcome_keeps_the_pause(people, carrier, time_machine):
    AccountRateLimit.pause("no credit", 60)
    for person in people:
        queue(person, "hello")
    later(time_machine, 61)
    carrier.script = [OutcomeUnknown("read timeout")]

    work()

    account = AccountRateLimit.load()
    assert len(carrier.sent) == 1
    assert account.is_paused
    assert account.failures == 1


def test_staff_can_end_an_account_pause(people, carrier):
    AccountRateLimit.pause("no credit", 3600)
    queue(people[0], "hello")

    assert AccountRateLimit.resume("topped up", actor="sam")
    work()

    assert sent_texts(carrier) == ["hello"]
    assert AccountRateLimit.load().events.first().actor == "sam"


def test_a_pause_uses_up_no_retries_and_keeps_the_order(people, carrier, time_machine):
    carrier.script = [AccountFault("no credit", code="9")] * 20
    [message, *_] = queue(people[0], *"123456")
    for _ in range(20):
        work()
        later(time_machine, 61)

    work()

    assert sent_texts(carrier)[20:] == list("123456")
    assert state_of(message) == "sent"


def test_a_pause_of_days_probes_as_often_as_one_of_minutes(people):
    AccountRateLimit.pause("no credit", 60)
    AccountRateLimit.objects.update(failures=5000, probe="the probe")

    AccountRateLimit.pause("no credit", 60, carrier_ref="the probe")

    assert AccountRateLimit.load().ready_at <= timezone.now() + timedelta(seconds=60)


def test_a_wait_of_days_requested_by_the_carrier_is_capped_at_an_hour(people):
    AccountRateLimit.pause("maintenance", 86400)

    assert AccountRateLimit.load().ready_at <= timezone.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    "fault",
    [TemporaryFailure("throttled", code="1", scope=FaultScope.NUMBER), SenderFault("not allowed", code="15")],
)
def test_a_probe_with_a_number_fault_ends_the_account_pause(people, carrier, time_machine, fault):
    carrier.script = [AccountFault("no credit", code="9"), fault]
    for person in people:
        queue(person, "hello")
    work()
    later(time_machine, 61)

    work()

    assert not AccountRateLimit.load().is_paused
    assert OutboundMessage.objects.filter(state="sent").exists()

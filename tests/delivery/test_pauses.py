"""Pauses of a number or the account after a fault: what waits, what continues and what ends the pause."""

from collections import defaultdict
from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.delivery.claim import claim
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.models import AccountRateLimit, NumberRateLimit, OutboundMessage
from numbers.models import NumberState
from smsproxy.carriers.base import (
    AccountFault,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    SenderFault,
    TemporaryFailure,
)
from tests.support.builders import add_numbers, members, talk
from tests.support.outbox import history, later, queue, state_of, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(time_machine):
    """Stop the clock. Return a function that moves it."""
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    return time_machine.shift


@pytest.fixture
def people(db):
    """Return six people, each with a line of their own, two on each of three virtual numbers."""
    add_numbers(3)
    of_number = defaultdict(list)
    for index in range(6):
        for person in members(talk(f"+4477008{index:05}", f"+4477007{index:05}")):
            of_number[person.proxy_number_id].append(person)
    return [person for group in of_number.values() for person in group[:2]]


def texts(carrier):
    return [text.text for text in carrier.sent]


def from_one_number(people):
    """Return the people whose proxy number is that of the first person."""
    return [person for person in people if person.proxy_number_id == people[0].proxy_number_id]


class TestAccountPause:
    @pytest.mark.parametrize(
        "fault",
        [
            AccountFault("no credit", code="9"),
            TemporaryFailure("out of service", code="503", scope=FaultScope.ACCOUNT),
            TemporaryFailure("throttled", code="429", retry_after=3, scope=FaultScope.ACCOUNT),
        ],
    )
    def test_an_account_fault_pauses_all_sending_and_loses_nothing(self, people, carrier, time_machine, fault):
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

    def test_one_probe_at_a_time_tests_a_paused_account(self, people, carrier, time_machine):
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

    def test_nothing_is_sent_while_a_probe_is_in_flight(self, people, carrier, time_machine):
        AccountRateLimit.pause("no credit", 60)
        for person in people:
            queue(person, "hello")
        later(time_machine, 61)

        [probe] = claim(10).messages

        assert probe.is_probe
        assert claim(10).messages == []

    def test_a_probe_whose_worker_died_is_replaced_after_its_lease(self, people, carrier, time_machine, settings):
        AccountRateLimit.pause("no credit", 60)
        for person in people:
            queue(person, "hello")
        later(time_machine, 61)
        claim(10)

        later(time_machine, settings.SEND_LEASE_SECONDS + 1)

        assert len(claim(10).messages) == 1

    def test_a_probe_with_a_permanent_failure_ends_the_account_pause(self, people, carrier, time_machine):
        carrier.script = [AccountFault("no credit", code="9"), PermanentFailure("barred", code="7")]
        for person in people:
            queue(person, "hello")
        work()
        later(time_machine, 61)

        work()

        assert not AccountRateLimit.load().is_paused
        assert OutboundMessage.objects.filter(state="sent").count() == 5

    def test_a_probe_that_is_not_sent_is_replaced_by_another(self, people, carrier, time_machine, settings):
        settings.MESSAGE_MAX_AGE_SECONDS = 30
        AccountRateLimit.pause("no credit", 60)
        [too_old] = queue(people[0], "too old")
        later(time_machine, 61)
        for person in people[1:]:
            queue(person, "hello")

        work()

        assert state_of(too_old) == "failed"
        assert texts(carrier) == ["hello"] * 5

    def test_failures_of_messages_in_flight_do_not_extend_the_pause(self, people, carrier):
        for person in people:
            queue(person, "hello")
        under_way = claim(10).messages
        for message in under_way:
            record(Result(message, TemporaryFailure("out of service", retry_after=10, scope=FaultScope.ACCOUNT)))

        account = AccountRateLimit.load()

        assert account.failures == 0
        assert account.ready_at <= timezone.now() + timedelta(seconds=10)

    def test_a_success_from_before_the_pause_does_not_end_it(self, people, carrier):
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
        self, people, carrier, clock, monkeypatch, end, expected
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

    def test_a_probe_with_an_unknown_outcome_keeps_the_pause(self, people, carrier, time_machine):
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

    def test_staff_can_end_an_account_pause(self, people, carrier):
        AccountRateLimit.pause("no credit", 3600)
        queue(people[0], "hello")

        assert AccountRateLimit.resume("topped up", actor="sam")
        work()

        assert texts(carrier) == ["hello"]
        assert AccountRateLimit.load().events.first().actor == "sam"

    def test_a_pause_uses_up_no_retries_and_keeps_the_order(self, people, carrier, time_machine):
        carrier.script = [AccountFault("no credit", code="9")] * 20
        [message, *_] = queue(people[0], *"123456")
        for _ in range(20):
            work()
            later(time_machine, 61)

        work()

        assert texts(carrier)[20:] == list("123456")
        assert state_of(message) == "sent"

    def test_a_pause_of_days_probes_as_often_as_one_of_minutes(self, people):
        AccountRateLimit.pause("no credit", 60)
        AccountRateLimit.objects.update(failures=5000, probe="the probe")

        AccountRateLimit.pause("no credit", 60, carrier_ref="the probe")

        assert AccountRateLimit.load().ready_at <= timezone.now() + timedelta(seconds=60)

    def test_a_wait_of_days_requested_by_the_carrier_is_capped_at_an_hour(self, people):
        AccountRateLimit.pause("maintenance", 86400)

        assert AccountRateLimit.load().ready_at <= timezone.now() + timedelta(hours=1)

    @pytest.mark.parametrize(
        "fault",
        [TemporaryFailure("throttled", code="1", scope=FaultScope.NUMBER), SenderFault("not allowed", code="15")],
    )
    def test_a_probe_with_a_number_fault_ends_the_account_pause(self, people, carrier, time_machine, fault):
        carrier.script = [AccountFault("no credit", code="9"), fault]
        for person in people:
            queue(person, "hello")
        work()
        later(time_machine, 61)

        work()

        assert not AccountRateLimit.load().is_paused
        assert OutboundMessage.objects.filter(state="sent").exists()


class TestNumberPause:
    def refuse_once(self, carrier, person, fault):
        """Make the carrier reject the first message from this person's proxy number with the fault."""
        accept, faults = carrier.accept, [fault]

        def answer(text):
            if faults and text.sender == person.proxy_number.number:
                raise faults.pop()
            return accept(text)

        carrier.accept = answer

    def test_a_throttled_number_waits_as_long_as_the_carrier_asks_while_others_send(
        self, people, carrier, time_machine
    ):
        self.refuse_once(
            carrier, people[0], TemporaryFailure("throttled", code="1", retry_after=30, scope=FaultScope.NUMBER)
        )
        mine = from_one_number(people)
        [throttled] = queue(people[0], "throttled")
        for person in people[1:]:
            queue(person, "waits" if person in mine else "goes on")

        work()

        assert texts(carrier).count("throttled") == 1
        assert texts(carrier).count("goes on") == len(people) - len(mine)
        assert "waits" not in texts(carrier)
        assert state_of(throttled) == "queued"
        later(time_machine, 30)
        work()
        assert history(throttled) == ["queued", "sending", "queued", "sending", "sent"]
        assert not NumberRateLimit.objects.exclude(pause_reason="").exists()

    def test_a_rejected_number_is_quarantined_and_loses_no_message(self, people, carrier, time_machine):
        carrier.script = [SenderFault("not allowed", code="15")]
        for person in from_one_number(people):
            queue(person, "hello")

        work()

        number = people[0].proxy_number
        number.refresh_from_db()
        assert len(carrier.sent) == 1
        assert number.state == NumberState.QUARANTINED
        assert number.events.get().reason == "not allowed"
        pace = NumberRateLimit.objects.get(number=number)
        assert pace.pause_reason == "not allowed"
        assert pace.waits_since is not None
        later(time_machine, 301)
        work()
        assert OutboundMessage.objects.filter(state="sent").count() == len(from_one_number(people))

    def test_a_late_throttle_does_not_shorten_the_wait_of_a_number(self, people, carrier):
        for person in from_one_number(people):
            queue(person, "hello")
        refused, throttled = claim(10).messages
        record(Result(refused, SenderFault("not allowed", code="15")))
        ready_at = NumberRateLimit.objects.get().ready_at

        record(Result(throttled, TemporaryFailure("throttled", code="1", retry_after=7, scope=FaultScope.NUMBER)))

        pace = NumberRateLimit.objects.get()
        assert (pace.ready_at, pace.failures) == (ready_at, 0)

    def test_a_wait_of_days_requested_by_the_carrier_is_capped_at_an_hour(self, people, clock):
        number = people[0].proxy_number
        hour = timezone.now() + timedelta(hours=1)

        NumberRateLimit.objects.wait(number, 86400, "throttled")
        assert NumberRateLimit.objects.get().ready_at == hour
        NumberRateLimit.objects.wait(number, 86400, "throttled: a word that comes late")

        assert NumberRateLimit.objects.get().ready_at == hour

    def probe(self, people, time_machine):
        """Queue two messages on a waiting number. Return the one that is claimed after the wait."""
        NumberRateLimit.objects.wait(people[0].proxy_number, 10, "throttled")
        for person in from_one_number(people):
            queue(person, "hello")
        later(time_machine, 11)
        [probe] = claim(10).messages
        return probe

    def test_after_its_wait_a_number_sends_one_probe_and_holds_its_other_messages(self, people, time_machine):
        self.probe(people, time_machine)
        [other] = queue(people[-1], "of another number")
        assert other.sender != people[0].proxy_number

        assert [claimed.message for claimed in claim(10).messages] == [other]

        assert OutboundMessage.objects.get(state="queued").sender == people[0].proxy_number

    def test_an_accepted_probe_releases_the_other_messages_of_the_number(self, people, carrier, time_machine):
        probe = self.probe(people, time_machine)

        record(Result(probe, carrier.accept(probe.as_outgoing())))
        work()

        assert texts(carrier) == ["hello"]
        assert set(OutboundMessage.objects.values_list("state", flat=True)) == {"sent"}
        pace = NumberRateLimit.objects.get()
        assert (pace.pause_reason, pace.waits_since, pace.failures) == ("", None, 0)

    def test_a_rejected_probe_doubles_the_wait_of_the_number(self, people, carrier, time_machine, monkeypatch):
        monkeypatch.setattr("random.uniform", max)
        probe = self.probe(people, time_machine)
        time_machine.move_to(timezone.now(), tick=False)

        record(Result(probe, TemporaryFailure("throttled", code="1", retry_after=10, scope=FaultScope.NUMBER)))

        pace = NumberRateLimit.objects.get()
        assert pace.failures == 1
        assert pace.ready_at - timezone.now() == timedelta(seconds=20)
        work()
        assert carrier.sent == []

    def test_a_number_probe_whose_worker_died_is_replaced_after_its_lease(self, people, time_machine, settings):
        probe = self.probe(people, time_machine)

        later(time_machine, settings.SEND_LEASE_SECONDS + 1)

        [another] = claim(10).messages
        assert another.message.pk != probe.message.pk
        assert another.message.sender == probe.message.sender

    def test_a_number_probe_that_is_not_sent_is_replaced_immediately(self, people, carrier, time_machine, settings):
        settings.MESSAGE_MAX_AGE_SECONDS = 30
        first, second = from_one_number(people)
        [too_old] = queue(first, "too old")
        NumberRateLimit.objects.wait(first.proxy_number, 60, "throttled")
        later(time_machine, 61)
        work()
        assert state_of(too_old) == "failed"
        queue(second, "hello")

        work()

        assert texts(carrier) == ["hello"]

    def test_a_number_fault_does_not_stop_other_numbers(self, people, carrier):
        self.refuse_once(carrier, people[0], SenderFault("not allowed", code="15"))
        queue(people[0], "refused")
        others = [person for person in people if person.proxy_number_id != people[0].proxy_number_id]
        for person in others:
            queue(person, "hello")

        work()

        assert texts(carrier).count("hello") == len(others)


def test_a_temporary_failure_of_one_message_delays_no_other(people, carrier):
    carrier.script = [TemporaryFailure("internal error", code="5")]
    for person in people:
        queue(person, "hello")

    work()

    assert OutboundMessage.objects.filter(state="sent").count() == len(people) - 1


def test_under_the_resend_policy_an_expired_unknown_outcome_blocks_nothing(people, carrier, time_machine, settings):
    settings.UNKNOWN_OUTCOME_POLICY = "resend"
    carrier.script = [OutcomeUnknown("read timeout")]
    queue(people[0], "in doubt")
    work()
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)
    queue(people[0], "later")

    work()

    assert texts(carrier) == ["in doubt", "later"]

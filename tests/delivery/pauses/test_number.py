"""A fault of a number pauses that number only, until a probe ends the pause."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.delivery.claim import claim
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.models import NumberRateLimit, OutboundMessage
from numbers.models import NumberState
from smsproxy.carriers.base import FaultScope, SenderFault, TemporaryFailure
from tests.support.outbox import history, later, queue, sent_texts, state_of, work

pytestmark = pytest.mark.django_db


def from_one_number(people):
    """Return the people whose proxy number is that of the first person."""
    return [person for person in people if person.proxy_number_id == people[0].proxy_number_id]


def refuse_once(carrier, person, fault):
    """Make the carrier reject the first message from this person's proxy number with the fault."""
    accept, faults = carrier.accept, [fault]

    def answer(text):
        if faults and text.sender == person.proxy_number.number:
            raise faults.pop()
        return accept(text)

    carrier.accept = answer


def test_a_throttled_number_waits_as_long_as_the_carrier_asks_while_others_send(people, carrier, time_machine):
    refuse_once(carrier, people[0], TemporaryFailure("throttled", code="1", retry_after=30, scope=FaultScope.NUMBER))
    mine = from_one_number(people)
    [throttled] = queue(people[0], "throttled")
    for person in people[1:]:
        queue(person, "waits" if person in mine else "goes on")

    work()

    assert sent_texts(carrier).count("throttled") == 1
    assert sent_texts(carrier).count("goes on") == len(people) - len(mine)
    assert "waits" not in sent_texts(carrier)
    assert state_of(throttled) == "queued"
    later(time_machine, 30)
    work()
    assert history(throttled) == ["queued", "sending", "queued", "sending", "sent"]
    assert not NumberRateLimit.objects.exclude(pause_reason="").exists()


def test_a_rejected_number_is_quarantined_and_loses_no_message(people, carrier, time_machine):
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


def test_a_late_throttle_does_not_shorten_the_wait_of_a_number(people, carrier):
    for person in from_one_number(people):
        queue(person, "hello")
    refused, throttled = claim(10).messages
    record(Result(refused, SenderFault("not allowed", code="15")))
    ready_at = NumberRateLimit.objects.get().ready_at

    record(Result(throttled, TemporaryFailure("throttled", code="1", retry_after=7, scope=FaultScope.NUMBER)))

    pace = NumberRateLimit.objects.get()
    assert (pace.ready_at, pace.failures) == (ready_at, 0)


def test_a_wait_of_days_requested_by_the_carrier_is_capped_at_an_hour(people, clock):
    number = people[0].proxy_number
    hour = timezone.now() + timedelta(hours=1)

    NumberRateLimit.objects.wait(number, 86400, "throttled")
    assert NumberRateLimit.objects.get().ready_at == hour
    NumberRateLimit.objects.wait(number, 86400, "throttled: a word that comes late")

    assert NumberRateLimit.objects.get().ready_at == hour


def claimed_probe(people, time_machine):
    """Queue two messages on a waiting number. Return the one that is claimed after the wait."""
    NumberRateLimit.objects.wait(people[0].proxy_number, 10, "throttled")
    for person in from_one_number(people):
        queue(person, "hello")
    later(time_machine, 11)
    [probe] = claim(10).messages
    return probe


def test_after_its_wait_a_number_sends_one_probe_and_holds_its_other_messages(people, time_machine):
    claimed_probe(people, time_machine)
    [other] = queue(people[-1], "of another number")
    assert other.sender != people[0].proxy_number

    assert [claimed.message for claimed in claim(10).messages] == [other]

    assert OutboundMessage.objects.get(state="queued").sender == people[0].proxy_number


def test_an_accepted_probe_releases_the_other_messages_of_the_number(people, carrier, time_machine):
    probe = claimed_probe(people, time_machine)

    record(Result(probe, carrier.accept(probe.as_outgoing())))
    work()

    assert sent_texts(carrier) == ["hello"]
    assert set(OutboundMessage.objects.values_list("state", flat=True)) == {"sent"}
    pace = NumberRateLimit.objects.get()
    assert (pace.pause_reason, pace.waits_since, pace.failures) == ("", None, 0)


def test_a_rejected_probe_doubles_the_wait_of_the_number(people, carrier, time_machine, monkeypatch):
    monkeypatch.setattr("random.uniform", max)
    probe = claimed_probe(people, time_machine)
    time_machine.move_to(timezone.now(), tick=False)

    record(Result(probe, TemporaryFailure("throttled", code="1", retry_after=10, scope=FaultScope.NUMBER)))

    pace = NumberRateLimit.objects.get()
    assert pace.failures == 1
    assert pace.ready_at - timezone.now() == timedelta(seconds=20)
    work()
    assert carrier.sent == []


def test_a_number_probe_whose_worker_died_is_replaced_after_its_lease(people, time_machine, settings):
    probe = claimed_probe(people, time_machine)

    later(time_machine, settings.SEND_LEASE_SECONDS + 1)

    [another] = claim(10).messages
    assert another.message.pk != probe.message.pk
    assert another.message.sender == probe.message.sender


def test_a_number_probe_that_is_not_sent_is_replaced_immediately(people, carrier, time_machine, settings):
    settings.MESSAGE_MAX_AGE_SECONDS = 30
    first, second = from_one_number(people)
    [too_old] = queue(first, "too old")
    NumberRateLimit.objects.wait(first.proxy_number, 60, "throttled")
    later(time_machine, 61)
    work()
    assert state_of(too_old) == "failed"
    queue(second, "hello")

    work()

    assert sent_texts(carrier) == ["hello"]


def test_a_number_fault_does_not_stop_other_numbers(people, carrier):
    refuse_once(carrier, people[0], SenderFault("not allowed", code="15"))
    queue(people[0], "refused")
    others = [person for person in people if person.proxy_number_id != people[0].proxy_number_id]
    for person in others:
        queue(person, "hello")

    work()

    assert sent_texts(carrier).count("hello") == len(others)

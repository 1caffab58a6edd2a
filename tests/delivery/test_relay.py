"""The effect of each answer of the carrier on a message."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from conversations.delivery.claim import claim
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record, record_all
from conversations.models import OutboundMessage, OutboundPart, Participant
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import (
    AccountFault,
    FaultScope,
    PermanentFailure,
    SenderFault,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from smsproxy.crypto import encrypt
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.outbox import history, later, queue, state_of, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(time_machine):
    """Stop the clock. Return a function that moves it."""
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    return time_machine.shift


def test_a_queued_message_is_sent_once_and_keeps_the_id_of_every_part(bob, carrier):
    carrier.script = [
        lambda text: SendReply(parts=(SentPart(carrier_message_id="a"), SentPart(carrier_message_id="b")))
    ]
    [message] = queue(bob, "x" * 200)

    Relay().send_due()
    Relay().send_due()

    assert [text.text for text in carrier.sent] == ["x" * 200]
    assert carrier.sent[0].client_ref == f"{message.client_ref}.1"
    assert (carrier.sent[0].sender, carrier.sent[0].recipient) == (bob.proxy_number.number, BOB)
    assert state_of(message) == "sent"
    assert [part.carrier_message_id for part in message.parts.all()] == ["a", "b"]
    assert history(message) == ["queued", "sending", "sent"]


@pytest.mark.django_db(transaction=True)
def test_the_sending_state_is_committed_before_the_carrier_is_called(carrier):
    add_numbers(3)
    [message] = queue(members(talk(ALICE, BOB))[1], "hello")
    seen = []

    def look_from_outside(text):
        def read():
            seen.append(OutboundMessage.objects.get(pk=message.pk).state)
            connection.close()

        assert not connection.in_atomic_block
        outside = threading.Thread(target=read)
        outside.start()
        outside.join()
        return carrier.accept(text)

    carrier.script = [look_from_outside]

    Relay().send_due()

    assert seen == ["sending"]


def test_a_temporary_failure_is_retried_after_the_wait_that_the_carrier_asks_for(bob, carrier, time_machine):
    carrier.script = [TemporaryFailure("throttled", code="1", retry_after=30)]
    [message] = queue(bob, "hello")

    Relay().send_due()
    assert state_of(message) == "queued"
    assert message.error_code == "1"
    later(time_machine, 29)
    Relay().send_due()
    assert len(carrier.sent) == 1
    later(time_machine, 2)
    Relay().send_due()

    assert len(carrier.sent) == 2
    assert state_of(message) == "sent"


@pytest.mark.parametrize(("end", "waits"), [(min, [0.5] * 10), (max, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300])])
def test_each_temporary_failure_doubles_the_backoff_up_to_five_minutes(bob, carrier, clock, monkeypatch, end, waits):
    monkeypatch.setattr("random.uniform", lambda low, high: end(low, high))
    carrier.script = [TemporaryFailure("internal error", code="5")] * len(waits)
    [message] = queue(bob, "hello")

    for wait in waits:
        work()

        assert state_of(message) == "queued"
        assert message.due_at - timezone.now() == timedelta(seconds=wait)
        clock(wait)
    work()

    assert state_of(message) == "sent"


def test_faults_of_the_number_or_the_account_do_not_extend_the_backoff_of_a_message(bob, carrier, clock, monkeypatch):
    monkeypatch.setattr("random.uniform", max)
    its_own_fault = TemporaryFailure("internal error", code="5")
    others_fault = [
        TemporaryFailure("throttled", scope=FaultScope.NUMBER),
        TemporaryFailure("out of service", scope=FaultScope.ACCOUNT),
        AccountFault("no credit"),
        SenderFault("not allowed"),
    ]
    carrier.script = [its_own_fault, *others_fault, its_own_fault]
    [message] = queue(bob, "hello")

    for _ in range(5):
        work()
        clock(301)
    work()

    assert len(carrier.sent) == 6
    assert state_of(message) == "queued"
    assert message.failures == 2
    assert message.due_at - timezone.now() == timedelta(seconds=4)


def test_a_retry_delay_of_a_day_is_capped_at_five_minutes(bob, carrier, clock):
    carrier.script = [TemporaryFailure("maintenance", retry_after=86400)]
    [message] = queue(bob, "hello")
    work()

    clock(300)
    work()

    assert state_of(message) == "sent"


class TestPartPrices:
    def claimed(self, conversation):
        """Claim a message to each participant. Return results with prices for two parts of the first only."""
        for person in members(conversation):
            queue(person, "hello")
        replies = [
            SendReply(
                parts=(
                    SentPart(carrier_message_id="a", price=Decimal("0.0333")),
                    SentPart(carrier_message_id="b", price=Decimal("0.04567")),
                )
            ),
            SendReply(parts=(SentPart(carrier_message_id="c"),)),
        ]
        return [Result(claimed, reply) for claimed, reply in zip(claim(2).messages, replies, strict=True)]

    def costs(self):
        return dict(OutboundPart.objects.values_list("carrier_message_id", "price"))

    def test_prices_are_stored_when_several_results_are_recorded_together(self, bob):
        assert record_all(self.claimed(bob.conversation))

        assert self.costs() == {"a": Decimal("0.0333"), "b": Decimal("0.04567"), "c": None}

    def test_prices_are_stored_when_one_result_is_recorded(self, bob):
        for result in self.claimed(bob.conversation):
            record(result)

        assert self.costs() == {"a": Decimal("0.0333"), "b": Decimal("0.04567"), "c": None}


def test_a_permanent_failure_is_final(bob, carrier, time_machine):
    carrier.script = [PermanentFailure("barred", code="7")]
    [message] = queue(bob, "hello")

    Relay().send_due()
    later(time_machine, 10**6)
    Relay().send_due()

    assert state_of(message) == "failed"
    assert message.error_code == "7"
    assert len(carrier.sent) == 1


def test_a_sender_fault_quarantines_the_number_and_loses_nothing(bob, carrier, time_machine):
    carrier.script = [SenderFault("not allowed", code="15")]
    [message] = queue(bob, "hello")

    Relay().send_due()

    bob.proxy_number.refresh_from_db()
    assert bob.proxy_number.state == NumberState.QUARANTINED
    assert bob.proxy_number not in VirtualNumber.objects.active()
    assert state_of(message) == "queued"
    later(time_machine, 301)
    Relay().send_due()
    assert state_of(message) == "sent"


def test_an_account_fault_loses_nothing(bob, carrier, time_machine):
    carrier.script = [AccountFault("no credit", code="9")] * 3
    [message] = queue(bob, "hello")

    for _ in range(4):
        Relay().send_due()
        later(time_machine, 61)

    assert state_of(message) == "sent"


def test_a_message_that_is_too_old_is_not_sent(bob, carrier, time_machine, settings):
    [message] = queue(bob, "I am outside")
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 1)

    Relay().send_due()

    assert carrier.sent == []
    assert state_of(message) == "failed"


def test_a_part_that_the_carrier_rejects_makes_the_message_undelivered(bob, carrier):
    parts = (SentPart(carrier_message_id="a"), SentPart(carrier_message_id="", error_code="5"))
    carrier.script = [lambda text: SendReply(parts=parts)]
    [message] = queue(bob, "x" * 200)

    Relay().send_due()

    assert state_of(message) == "undelivered"
    assert message.error_code == "5"


def test_an_accepted_message_is_sent_even_if_the_carrier_reuses_an_id(bob, carrier):
    carrier.script = [lambda text: SendReply(parts=(SentPart(carrier_message_id="same"),))] * 2
    first, second = queue(bob, "first", "second")

    Relay().send_due()

    assert (state_of(first), state_of(second)) == ("sent", "sent")
    assert first.parts.count() == 1


def test_a_message_that_cannot_be_decrypted_blocks_no_other_and_is_retried(carrier, time_machine):
    add_numbers(4)
    bob, charlie = members(talk(ALICE, BOB))[1], members(talk(ALICE, CHARLIE))[1]
    [broken] = queue(bob, "cannot be read")
    [healthy] = queue(charlie, "hello")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_outboundmessage SET text = 'no token' WHERE id = %s", [broken.pk])

    Relay(concurrency=5).send_due()

    def state(message):
        return OutboundMessage.objects.values_list("state", flat=True).get(pk=message.pk)

    assert state(healthy) == "sent"
    assert state(broken) == "queued"
    run_jobs()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE conversations_outboundmessage SET text = %s WHERE id = %s", [encrypt("now"), broken.pk])
    later(time_machine, 301)
    Relay().send_due()
    assert [text.text for text in carrier.sent] == ["hello", "now"]


def test_a_message_is_not_sent_after_its_numbers_are_released(bob, carrier):
    [message] = queue(bob, "to Bob, of old")
    Participant.objects.filter(pk=bob.pk).update(released_at=timezone.now())

    Relay().send_due()

    assert carrier.sent == []
    assert state_of(message) == "failed"


def test_a_failed_call_logs_neither_number_nor_text(bob, carrier, caplog):
    carrier.script = [ZeroDivisionError(f"{BOB} secret words")]
    queue(bob, "secret words")

    Relay().send_due()

    # Check the log records themselves, before any masking.
    said = " ".join(f"{record.getMessage()} {record.exc_info}" for record in caplog.records)
    assert "ZeroDivisionError" in said
    assert BOB[1:] not in said
    assert "secret words" not in said

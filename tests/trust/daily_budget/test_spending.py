"""The cost of each message, counted into the daily budget."""

from decimal import Decimal

import pytest
from django.db import InterfaceError

from conversations.delivery.claim import claim, requeue_claim
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record_all
from conversations.worker.periodic_jobs import recover_leases
from smsproxy.carriers.base import (
    OutcomeUnknown,
    PermanentFailure,
    Receipt,
    ReceiptStatus,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from tests.support.daily_budget import NEXT_DAY, account, at_price, states
from tests.support.outbox import queue, work

pytestmark = pytest.mark.django_db


def test_the_carriers_price_takes_the_place_of_the_estimate(carrier, bob, noon):
    carrier.script = [at_price(Decimal("0.05"))] * 20
    queue(bob, *"abcdefghijklmnopqrst")

    work()

    assert states().count("sent") == 16, "the seventeenth, by its estimate, would exceed EUR 1"
    assert account().spent == Decimal("0.8")


def test_each_part_counts_by_the_carriers_count(carrier, bob, noon):
    carrier.script = [at_price(Decimal("0.1"), parts=3)]
    queue(bob, "one")

    work()

    assert account().spent == Decimal("0.3")


def test_a_price_that_the_carrier_does_not_tell_stays_an_estimate(carrier, bob, noon):
    carrier.script = [at_price(None)]
    queue(bob, "one")

    work()

    assert account().spent == Decimal("0.25")


@pytest.mark.parametrize(
    "error",
    [TemporaryFailure("busy", retry_after=0), PermanentFailure("no such person")],
)
def test_a_message_that_was_not_sent_costs_nothing(carrier, bob, noon, error):
    carrier.script = [error]
    queue(bob, "one")

    Relay().send_due()

    sent = states().count("sent")
    assert account().spent == sent * Decimal("0.25")


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        (SendReply(parts=(SentPart(carrier_message_id="a", price=Decimal("0.1")),)), "0.1"),
        (
            SendReply(
                parts=(
                    SentPart(carrier_message_id="a", price=Decimal("0.1")),
                    SentPart(carrier_message_id="b", error_code="5"),
                )
            ),
            "0.1",
        ),
        (SendReply(parts=(SentPart(carrier_message_id="a"), SentPart(carrier_message_id="b"))), "0.25"),
        (SendReply(parts=(SentPart(carrier_message_id="a"), SentPart(carrier_message_id="b", error_code="5"))), "0.25"),
        (PermanentFailure("no such phone"), "0"),
        (TemporaryFailure("busy"), "0"),
    ],
)
def test_a_result_whose_commit_had_no_answer_is_counted_once(bob, noon, answer, cost):
    """The worker then records it again."""
    queue(bob, "hello")
    [claimed] = claim(1).messages
    for _ in range(2):
        record_all([Result(claimed, answer)])

    assert account().spent == Decimal(cost)


def test_a_result_is_counted_once_even_if_a_receipt_came_before_it(bob, noon):
    queue(bob, "hello")
    [claimed] = claim(1).messages
    receive_receipt(
        Receipt(
            carrier_message_id="a",
            client_ref=claimed.message.carrier_ref,
            status=ReceiptStatus.DELIVERED,
            error_code="0",
        )
    )
    for _ in range(2):
        record_all([Result(claimed, SendReply(parts=(SentPart(carrier_message_id="a", price=Decimal("0.1")),)))])

    assert account().spent == Decimal("0.1")


def test_a_failure_that_is_told_after_the_decision_time_keeps_its_estimate(bob, noon, settings):
    """The message stays unknown, so nothing would show that a repeat has been counted."""
    queue(bob, "hello")
    [claimed] = claim(1).messages
    noon.shift(settings.SEND_LEASE_SECONDS + 1)
    recover_leases()
    noon.shift(settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS + 1)
    for _ in range(2):
        record_all([Result(claimed, TemporaryFailure("busy"))])

    assert states() == ["unknown"]
    assert account().spent == Decimal("0.25")


def test_a_message_of_unknown_outcome_keeps_its_estimate(carrier, bob, noon):
    carrier.script = [OutcomeUnknown("no answer")]
    queue(bob, "one")

    work()

    assert states() == ["unknown"]
    assert account().spent == Decimal("0.25")


def test_a_message_whose_worker_died_keeps_its_estimate(bob, noon, settings):
    queue(bob, "one")
    claim(1)
    noon.shift(settings.SEND_LEASE_SECONDS + 1)

    assert recover_leases() == 1
    assert account().spent == Decimal("0.25")


def test_a_claim_that_was_handed_back_costs_nothing(bob, noon):
    queue(bob, "one")
    [claimed] = claim(1).messages

    assert claimed.message.lease_until
    assert requeue_claim(claimed.message.lease_until) == 1
    assert account().spent == 0


def test_a_claim_that_fails_costs_nothing(bob, noon, monkeypatch):
    queue(bob, "one")
    claim(0)
    monkeypatch.setattr("conversations.delivery.claim._store", lambda paces: (_ for _ in ()).throw(InterfaceError()))

    with pytest.raises(InterfaceError):
        claim(1)

    assert account().spent == 0


def test_a_result_of_the_day_before_does_not_change_the_new_day(carrier, bob, noon):
    noon.move_to("2026-11-22T23:59:59Z", tick=False)
    queue(bob, "one", "two")
    carrier.script = [at_price(Decimal("0.05"))]
    relay = Relay()
    [claimed] = relay._claim(1)[0]
    noon.move_to(NEXT_DAY, tick=False)
    relay._claim(1)

    relay._send(claimed)
    relay._record_results()

    assert account().spent == 0

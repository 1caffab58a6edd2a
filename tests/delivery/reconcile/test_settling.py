"""A message that the carrier's records show is settled as by its receipts, whatever has become of it since."""

from datetime import timedelta
from decimal import Decimal

import pytest

from conversations.delivery.claim import claim
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.intake.receive import receive
from conversations.models import AccountRateLimit, OutboundMessage, RecordSearch
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import InboundText, OutcomeUnknown, Receipt, ReceiptStatus, SendReply, SentPart
from tests.support.builders import ALICE, proxies
from tests.support.outbox import history, later, notices, queue, state_of
from tests.support.searches import lose_answer, page, record_of, search_after, spans

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (ReceiptStatus.DELIVERED, "delivered"),
        (ReceiptStatus.UNDELIVERED, "undelivered"),
        (ReceiptStatus.ACCEPTED, "sent"),
        (ReceiptStatus.UNKNOWN, "sent"),
    ],
)
def test_a_message_in_the_records_is_settled_by_its_status_and_not_sent_again(
    bob, carrier, time_machine, status, state
):
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [page(record_of(message, status=status, error_code="6"))]

    search_after(time_machine, 6)
    run_jobs()
    Relay().send_due()

    assert state_of(message) == state
    assert message.events.first().reason == "found in the carrier's records"
    part = message.parts.get()
    assert (part.carrier_message_id, part.price, part.attempt) == (f"record-{message.pk}-1-1", Decimal("0.03330"), 1)
    assert len(carrier.sent) == 1


def test_a_receipt_that_arrives_later_finds_the_message_by_the_stored_id(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    found = record_of(message, status=ReceiptStatus.ACCEPTED)
    carrier.pages_of_records = [page(found)]
    search_after(time_machine, 6)
    assert state_of(message) == "sent"

    receive_receipt(Receipt(carrier_message_id=found.carrier_message_id, client_ref="", status=ReceiptStatus.DELIVERED))

    assert state_of(message) == "delivered"


def test_a_receipt_without_our_reference_that_came_first_is_matched(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    found = record_of(message, status=ReceiptStatus.ACCEPTED)
    receive_receipt(Receipt(carrier_message_id=found.carrier_message_id, client_ref="", status=ReceiptStatus.DELIVERED))
    assert state_of(message) == "unknown"
    carrier.pages_of_records = [page(found)]

    search_after(time_machine, 61)

    assert state_of(message) == "delivered"


def test_a_long_message_is_delivered_when_all_its_parts_are(bob, carrier, time_machine):
    message = lose_answer(bob, carrier, "x" * 200)
    carrier.pages_of_records = [page(record_of(message, 1), record_of(message, 2, ReceiptStatus.ACCEPTED))]
    search_after(time_machine, 6)
    assert state_of(message) == "sent"

    receive_receipt(
        Receipt(
            carrier_message_id=f"record-{message.pk}-1-2",
            client_ref=message.carrier_ref,
            status=ReceiptStatus.DELIVERED,
        )
    )

    assert state_of(message) == "delivered"


def test_a_lost_message_is_told_to_its_author(bob, carrier, time_machine, settings):
    carrier.script = [OutcomeUnknown("read timeout")]
    to = proxies(bob.conversation)[0]
    receive(InboundText(carrier_message_id="in-1", sender=ALICE, recipient=to, text="hello"))
    Relay().send_due()
    message = OutboundMessage.objects.get(kind="relay")
    carrier.pages_of_records = [page(record_of(message, status=ReceiptStatus.UNDELIVERED, error_code="99"))]

    search_after(time_machine, 6)

    assert notices() == [settings.UNDELIVERED_NOTICE]


def test_a_record_that_says_opted_out_is_an_opt_out(bob, carrier, time_machine, monkeypatch):
    monkeypatch.setattr(type(carrier), "opted_out_codes", frozenset({"54"}))
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [page(record_of(message, status=ReceiptStatus.UNDELIVERED, error_code="54"))]

    search_after(time_machine, 6)

    bob.real_number.refresh_from_db()
    assert bob.real_number.opted_out_at is not None


def test_an_attempt_that_was_resent_by_staff_cancels_the_resend_that_is_still_queued(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    found = record_of(message)
    later(time_machine, 6 * 60)

    def resend_during_the_call(start, end, cursor=""):
        message.resend(reason="staff: send again", actor="sam")
        return page(found)

    carrier.sent_between = resend_during_the_call
    search_after(time_machine, 0)
    Relay().send_due()

    assert state_of(message) == "delivered"
    assert len(carrier.sent) == 1


def test_an_attempt_that_was_resent_and_is_being_sent_keeps_both_attempts_apart(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    first = record_of(message, status=ReceiptStatus.UNDELIVERED)
    later(time_machine, 6 * 60)

    def resend_during_the_call(start, end, cursor=""):
        message.resend(reason="staff: send again", actor="sam")
        Relay().send_due()
        return page(first)

    carrier.sent_between = resend_during_the_call
    search_after(time_machine, 0)

    assert state_of(message) == "sent"  # The first attempt was lost, and the second one is on its way.
    assert dict(message.parts.values_list("attempt", "status")) == {1: "undelivered", 2: "unknown"}


def test_the_second_attempt_is_searched_for_in_its_own_window(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    for _ in range(3):
        search_after(time_machine, 30)
    message.refresh_from_db()
    assert message.is_not_seen
    message.resend(reason="staff: send again", actor="sam")
    lose_again(carrier)
    message.refresh_from_db()
    assert (message.state, message.searches) == ("unknown", 0)
    carrier.searched.clear()
    carrier.pages_of_records = [page(record_of(message))]

    search_after(time_machine, 6)

    [(start, end)] = spans(carrier)
    assert start < message.attempted_at < end
    assert state_of(message) == "delivered"
    assert message.parts.get().attempt == 2


def lose_again(carrier):
    carrier.script = [OutcomeUnknown("read timeout")]
    Relay().send_due()


def test_the_window_covers_the_whole_attempt_of_a_worker_that_died(bob, carrier, time_machine, settings):
    queue(bob, "hello")
    [claimed] = claim(1).messages
    # All workers were dead for an hour.
    later(time_machine, 3600)
    run_jobs()
    search_after(time_machine, 0)

    [(start, end)] = spans(carrier)
    assert claimed.claimed_at - start == timedelta(seconds=5)
    assert end - start == timedelta(seconds=5 + settings.SEND_LEASE_SECONDS + 30)


def test_the_window_of_a_call_without_an_answer_ends_soon_after_the_call(bob, carrier, time_machine):
    lose_answer(bob, carrier)

    search_after(time_machine, 6)

    [(start, end)] = spans(carrier)
    assert timedelta(seconds=35) <= end - start < timedelta(seconds=60)


def test_a_window_is_never_longer_than_a_day(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    OutboundMessage.objects.update(attempted_at=message.attempted_at - timedelta(days=2))

    search_after(time_machine, 6)

    [(start, end)] = spans(carrier)
    assert end - start == timedelta(hours=24)


def test_the_price_in_the_records_replaces_the_estimate_in_the_daily_budget_once(bob, carrier, time_machine, settings):
    settings.DAILY_BUDGET, settings.PRICE_ESTIMATE_EUR = Decimal(10), Decimal("0.07")
    message = lose_answer(bob, carrier)
    assert AccountRateLimit.load().spent == Decimal("0.07")
    carrier.pages_of_records = [page(record_of(message, status=ReceiptStatus.ACCEPTED))]

    search_after(time_machine, 6)
    assert AccountRateLimit.load().spent == Decimal("0.0333")

    # A receipt says nothing about the price.
    receive_receipt(Receipt(carrier_message_id="other", client_ref=message.carrier_ref, status=ReceiptStatus.DELIVERED))
    assert AccountRateLimit.load().spent == Decimal("0.0333")


def test_an_unknown_price_leaves_the_estimate(bob, carrier, time_machine, settings):
    settings.DAILY_BUDGET, settings.PRICE_ESTIMATE_EUR = Decimal(10), Decimal("0.07")
    message = lose_answer(bob, carrier)
    carrier.pages_of_records = [page(record_of(message, price=None))]

    search_after(time_machine, 6)

    assert AccountRateLimit.load().spent == Decimal("0.07")


def test_a_worker_that_wakes_up_after_the_search_counts_nothing_twice(bob, carrier, time_machine, settings):
    settings.DAILY_BUDGET, settings.PRICE_ESTIMATE_EUR = Decimal(10), Decimal("0.07")
    [message] = queue(bob, "hello")
    [claimed] = claim(1).messages
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    message.refresh_from_db()
    carrier.pages_of_records = [page(record_of(message, status=ReceiptStatus.ACCEPTED))]
    search_after(time_machine, 6)

    part = SentPart(carrier_message_id=f"record-{message.pk}-1-1", price=Decimal("0.0333"))
    record(Result(claimed, SendReply(parts=(part,))))

    assert AccountRateLimit.load().spent == Decimal("0.0333")
    assert (state_of(message), message.parts.count()) == ("sent", 1)
    assert history(message) == ["queued", "sending", "unknown", "sent"]


def test_a_worker_that_wakes_up_during_the_search_counts_nothing_twice(bob, carrier, time_machine, settings):
    settings.DAILY_BUDGET, settings.PRICE_ESTIMATE_EUR = Decimal(10), Decimal("0.07")
    [message] = queue(bob, "hello")
    [claimed] = claim(1).messages
    later(time_machine, settings.SEND_LEASE_SECONDS + 1)
    run_jobs()
    message.refresh_from_db()
    found = record_of(message)

    def wake_up_during_the_call(start, end, cursor=""):
        part = SentPart(carrier_message_id=found.carrier_message_id, price=found.price)
        record(Result(claimed, SendReply(parts=(part,))))
        return page(found)

    carrier.sent_between = wake_up_during_the_call
    search_after(time_machine, 6)

    assert AccountRateLimit.load().spent == Decimal("0.0333")
    assert (state_of(message), message.parts.count()) == ("delivered", 1)


def test_records_that_nobody_asked_for_change_nothing(bob, carrier, time_machine):
    message = lose_answer(bob, carrier)
    strangers = [record_of(message, client_ref=ref) for ref in ("relay-42.1", f"{'0' * 32}.1", ".", "x")]
    carrier.pages_of_records = [page(*strangers)]

    search_after(time_machine, 6)

    assert state_of(message) == "unknown"
    assert not message.parts.exists()
    assert RecordSearch.objects.get().last_error == ""

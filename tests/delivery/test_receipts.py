"""Delivery receipts: duplicate, out of order, early and unmatched ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.delivery import outbox
from conversations.delivery.claim import claim
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.delivery.result import Result
from conversations.delivery.results import record
from conversations.intake import receive
from conversations.models import DeliveryReceipt, OutboundMessage
from conversations.worker.periodic_jobs import match_receipts
from smsproxy.carriers.base import InboundText, OutcomeUnknown, Receipt, ReceiptStatus, SendReply, SentPart
from smsproxy.events.models import FeedEvent
from tests.support.builders import ALICE, members
from tests.support.hypothesis_profiles import examples
from tests.support.outbox import state_of
from tests.support.signing import signed_receipt

pytestmark = pytest.mark.django_db

ACCEPTED, DELIVERED, UNDELIVERED, UNKNOWN = (
    ReceiptStatus.ACCEPTED,
    ReceiptStatus.DELIVERED,
    ReceiptStatus.UNDELIVERED,
    ReceiptStatus.UNKNOWN,
)


def parts(*ids):
    return SendReply(parts=tuple(SentPart(carrier_message_id=each) for each in ids))


def sent(carrier, bob, *ids, text="hello"):
    carrier.script = [lambda outgoing: parts(*ids)]
    message = outbox.queue_notice(bob, text)
    Relay().send_due()
    message.refresh_from_db()
    assert message.state == "sent"
    return message


def receipt(status, part="a", ref="", code=""):
    return receive_receipt(Receipt(carrier_message_id=part, client_ref=ref, status=status, error_code=code))


def test_a_webhook_receipt_is_matched_by_our_reference(client, carrier, bob):
    message = sent(carrier, bob, "0A0000001234567B")

    response = client.post(
        "/webhooks/vonage/delivery-receipt", signed_receipt(client_ref=message.client_ref), "application/json"
    )

    assert response.status_code == 200
    assert state_of(message) == "delivered"
    kept = DeliveryReceipt.objects.get()
    assert (kept.message, kept.virtual_number, kept.network) == (message, bob.proxy_number, "23410")


def test_a_receipt_without_a_reference_is_matched_by_the_carriers_id(carrier, bob):
    message = sent(carrier, bob, "a")

    receipt(DELIVERED, "a")

    assert state_of(message) == "delivered"


def test_a_failed_delivery_is_stored_with_its_error_code(carrier, bob):
    message = sent(carrier, bob, "a")

    receipt(UNDELIVERED, code="9")

    assert state_of(message) == "undelivered"
    assert message.error_code == "9"


def test_the_first_final_status_is_kept(carrier, bob):
    message = sent(carrier, bob, "a")

    receipt(DELIVERED)
    receipt(UNDELIVERED, code="1")
    receipt(ACCEPTED)
    receipt(UNKNOWN)

    assert state_of(message) == "delivered"
    assert DeliveryReceipt.objects.filter(message=message).count() == 4


def test_the_accepted_status_is_not_final(carrier, bob):
    message = sent(carrier, bob, "a")

    receipt(ACCEPTED)
    assert state_of(message) == "sent"
    receipt(DELIVERED)

    assert state_of(message) == "delivered"


def test_a_repeated_receipt_is_stored_once(carrier, bob):
    message = sent(carrier, bob, "a")

    assert receipt(DELIVERED) is True
    assert receipt(DELIVERED) is False

    assert DeliveryReceipt.objects.count() == 1
    assert message.events.filter(new_state="delivered").count() == 1


def test_a_long_message_is_delivered_only_when_all_its_parts_are(carrier, bob):
    message = sent(carrier, bob, "a", "b", text="x" * 200)

    receipt(DELIVERED, "b")
    assert state_of(message) == "sent"
    receipt(DELIVERED, "a")

    assert state_of(message) == "delivered"


def test_the_carrier_decides_the_number_of_parts(carrier, bob):
    """The carrier can split a message differently than we do."""
    short, long = sent(carrier, bob, "a", "b", text="x"), sent(carrier, bob, "c", text="x" * 161)
    assert (short.segments, short.part_count, long.segments, long.part_count) == (1, 2, 2, 1)

    receipt(DELIVERED, "a")
    receipt(DELIVERED, "c")

    assert (state_of(short), state_of(long)) == ("sent", "delivered")
    receipt(DELIVERED, "b")
    assert state_of(short) == "delivered"


def test_our_own_count_of_parts_applies_until_the_carrier_answers(carrier, bob):
    message = outbox.queue_notice(bob, "x" * 161)

    def receipts_first(outgoing):
        receipt(DELIVERED, "b", ref=outgoing.client_ref)
        assert state_of(message) == "sent"
        receipt(DELIVERED, "a", ref=outgoing.client_ref)
        assert state_of(message) == "delivered"
        return parts("a", "b")

    carrier.script = [receipts_first]
    Relay().send_due()

    assert state_of(message) == "delivered"
    assert message.parts.count() == 2


def test_one_lost_part_makes_a_long_message_undelivered(carrier, bob):
    message = sent(carrier, bob, "a", "b", text="x" * 200)

    receipt(DELIVERED, "a")
    receipt(UNDELIVERED, "b", code="1")

    assert state_of(message) == "undelivered"


def test_a_receipt_can_arrive_before_the_answer_to_our_request(carrier, bob):
    def receipt_first(outgoing):
        receipt(DELIVERED, "a", ref=outgoing.client_ref)
        return parts("a")

    carrier.script = [receipt_first]
    message = outbox.queue_notice(bob, "hello")

    Relay().send_due()

    assert state_of(message) == "delivered"
    assert [part.carrier_message_id for part in message.parts.all()] == ["a"]


def test_a_loss_that_is_reported_before_the_answer_is_told_once(carrier, bob):
    def receipt_first(outgoing):
        receipt(UNDELIVERED, "a", ref=outgoing.client_ref, code="1")
        return parts("a")

    carrier.script = [receipt_first]
    message = outbox.queue_notice(bob, "hello")

    Relay().send_due()

    events = message.events.order_by("pk").values_list("new_state", flat=True)
    assert list(events) == ["queued", "sending", "undelivered"]
    told = FeedEvent.objects.order_by("pk").values_list("type", flat=True)
    assert [each for each in told if each.startswith("message.")] == ["message.undelivered"]


def test_an_early_receipt_without_a_reference_is_matched_later(carrier, bob):
    receipt(DELIVERED, "a")
    assert DeliveryReceipt.objects.get().virtual_number is None
    message = sent(carrier, bob, "a")

    assert match_receipts() == 1

    assert state_of(message) == "delivered"
    assert DeliveryReceipt.objects.get().virtual_number == bob.proxy_number
    assert match_receipts() == 0


@pytest.mark.parametrize(
    ("status", "state"), [(DELIVERED, "delivered"), (ACCEPTED, "sent"), (UNDELIVERED, "undelivered")]
)
def test_a_receipt_settles_an_unknown_outcome(carrier, bob, status, state):
    carrier.script = [OutcomeUnknown("read timeout")]
    message = outbox.queue_notice(bob, "hello")
    Relay().send_due()
    assert state_of(message) == "unknown"

    receipt(status, "a", ref=message.client_ref)

    assert state_of(message) == state


def test_a_receipt_cancels_the_resend_of_a_delivered_message(carrier, bob):
    carrier.script = [OutcomeUnknown("read timeout")]
    message = outbox.queue_notice(bob, "hello")
    Relay().send_due()
    message.refresh_from_db()
    message.resend(reason="policy")

    receipt(DELIVERED, "a", ref=message.client_ref)
    Relay().send_due()

    assert len(carrier.sent) == 1
    assert state_of(message) == "delivered"


class TestResentMessage:
    def writes(self, bob, words):
        """Receive a message from Alice and return its relay to Bob."""
        alice = members(bob.conversation)[0]
        to = alice.proxy_number.number
        receive.receive(InboundText(carrier_message_id=words, sender=ALICE, recipient=to, text=words))
        return OutboundMessage.objects.get(inbound__carrier_message_id=words)

    def second_attempt(self, carrier, bob):
        """Return a claimed second attempt. The outcome of the first attempt is unknown."""
        message = self.writes(bob, "hello")
        carrier.script = [OutcomeUnknown("read timeout")]
        Relay().send_due()
        message.refresh_from_db()
        message.resend(reason="policy")
        [claimed] = claim(1).messages
        assert claimed.message.attempts == 2
        return claimed

    def test_a_failed_first_attempt_does_not_settle_the_second(self, carrier, bob):
        claimed = self.second_attempt(carrier, bob)
        attempt = claimed.message
        later_text = self.writes(bob, "later")

        receipt(UNDELIVERED, "a", ref=f"{attempt.client_ref}.1", code="1")

        assert state_of(attempt) == "sending"
        assert claim(10).messages == []
        record(Result(claimed, parts("b")))
        assert state_of(attempt) == "sent"
        receipt(DELIVERED, "b", ref=f"{attempt.client_ref}.2")
        assert state_of(attempt) == "delivered"
        assert set(OutboundMessage.objects.all()) == {attempt, later_text}, "a notice was sent"

    def test_an_accepted_second_attempt_outweighs_a_first_one_that_is_lost_before_its_answer(self, carrier, bob):
        claimed = self.second_attempt(carrier, bob)
        attempt = claimed.message
        OutboundMessage.objects.filter(pk=attempt.pk).update(state="undelivered")
        receipt(UNDELIVERED, "a", ref=f"{attempt.client_ref}.1", code="1")

        record(Result(claimed, parts("b")))

        assert state_of(attempt) == "sent"

    def test_a_delivered_first_attempt_outweighs_a_failed_second(self, carrier, bob):
        claimed = self.second_attempt(carrier, bob)
        attempt = claimed.message
        record(Result(claimed, parts("b")))
        receipt(UNDELIVERED, "b", ref=f"{attempt.client_ref}.2", code="1")
        assert state_of(attempt) == "undelivered"

        receipt(DELIVERED, "a", ref=f"{attempt.client_ref}.1")

        assert state_of(attempt) == "delivered"


def test_an_unmatched_receipt_is_stored(db):
    receipt(DELIVERED, "not-ours", ref="not-ours-either")

    assert DeliveryReceipt.objects.unmatched().count() == 1


_WORDS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(list(ReceiptStatus))), max_size=8)


@examples(fast=15, thorough=60)
@given(words=_WORDS, answered_after=st.integers(0, 8))
def test_the_state_follows_the_first_final_status_of_each_part_in_any_order(carrier, bob, words, answered_after):
    OutboundMessage.objects.all().delete()
    message = outbox.queue_notice(bob, "x" * 200)
    [claimed] = claim(1).messages
    for index, (part, status) in enumerate(words):
        if index == answered_after:
            record(Result(claimed, parts("a", "b")))
        receipt(status, part, ref=message.client_ref)
    if answered_after >= len(words):
        record(Result(claimed, parts("a", "b")))

    final = {}
    for part, status in words:
        if status.is_final:
            final.setdefault(part, status)
    if UNDELIVERED in final.values():
        # One undelivered part makes the whole message undelivered.
        expected = "undelivered"
    else:
        expected = "delivered" if final == {"a": DELIVERED, "b": DELIVERED} else "sent"
    assert state_of(message) == expected


def test_an_ordinary_receipt_takes_eight_queries(carrier, bob, django_assert_max_num_queries):
    """Every message causes a receipt."""
    message = sent(carrier, bob, "a")

    with django_assert_max_num_queries(8 + 2 + 2):  # Plus two savepoints: the transaction and the state change.
        receipt(DELIVERED, ref=f"{message.client_ref}.1")

    assert state_of(message) == "delivered"

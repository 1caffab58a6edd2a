"""What the simulated network delays or takes apart arrives later, out of order, and once."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from conversations.delivery.relay import Relay
from conversations.models import InboundMessage, InboundOutcome, LongMessage, OutboundState
from smsproxy.simulator.models import DELAY, DelayedPost, FaultKind, Verb
from smsproxy.simulator.network import post_due, send_from_handset
from tests.support.builders import ALICE, BOB
from tests.support.simulated import OURS, arrived, fault, phone

# The simulator calls webhooks within the process. Like any request, each call closes the database connection.
pytestmark = pytest.mark.django_db(transaction=True)


def later(time=DELAY):
    return time_machine.travel(timezone.now() + time + timedelta(seconds=1), tick=True)


def test_a_delayed_text_and_its_receipt_arrive_late(conversation):
    fault(Verb.SEND, FaultKind.DELAYED)
    send_from_handset(phone(ALICE), OURS, "Where are you?")
    Relay().send_due()
    assert conversation.messages.get().state == OutboundState.SENT
    assert phone(BOB).texts.get().created_at > timezone.now()
    post_due()
    assert conversation.messages.get().state == OutboundState.SENT
    with later():
        post_due()
        assert conversation.messages.get().state == OutboundState.DELIVERED
        assert phone(BOB).texts.get().created_at < timezone.now()
    assert not DelayedPost.objects.exists()


@pytest.mark.parametrize("words", ["Hello there", "ok", "I am at the north exit, blue coat. 🚗 " * 8])
def test_a_text_whose_parts_come_out_of_order_is_passed_on_once_and_whole(conversation, words):
    fault(Verb.RECEIVE, FaultKind.LATE_PART)
    send_from_handset(phone(ALICE), OURS, words)
    Relay().send_due()
    assert arrived(BOB) == []
    assert LongMessage.objects.get().closed_at is None
    with later():
        post_due()
        Relay().send_due()
    assert arrived(BOB) == [words]
    assert InboundMessage.objects.filter(outcome=InboundOutcome.RELAYED).count() == 1


def test_a_text_of_one_character_cannot_be_cut_and_arrives_at_once(conversation):
    fault(Verb.RECEIVE, FaultKind.LATE_PART)
    send_from_handset(phone(ALICE), OURS, "k")
    Relay().send_due()
    assert arrived(BOB) == ["k"]


def test_a_delayed_post_is_posted_once_by_concurrent_lookers(conversation):
    fault(Verb.SEND, FaultKind.DELAYED)
    send_from_handset(phone(ALICE), OURS, "Where are you?")
    Relay().send_due()
    with later():
        assert DelayedPost.objects.take_due(timezone.now())
        assert DelayedPost.objects.take_due(timezone.now()) is None


def test_a_delayed_post_that_the_webhook_rejects_is_posted_again(conversation, settings, caplog):
    fault(Verb.RECEIVE, FaultKind.LATE_PART)
    send_from_handset(phone(ALICE), OURS, "Hello there")
    url = DelayedPost.objects.get().url
    DelayedPost.objects.update(url="https://sms.example.com/no/such/place")
    with later():
        post_due()
    assert "rejected" in caplog.text
    assert "Hello" not in caplog.text
    DelayedPost.objects.update(url=url)
    with later(timedelta(minutes=20)):  # A signature of the first time would be too old.
        post_due()
    assert not DelayedPost.objects.exists()
    assert InboundMessage.objects.filter(outcome=InboundOutcome.RELAYED).count() == 1

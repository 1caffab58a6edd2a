"""The simulated network: texts from phones to our webhooks and back, receipts, and faults on the way."""

import pytest

from conversations.delivery.relay import Relay
from conversations.models import DeliveryReceipt, InboundMessage, InboundOutcome, OutboundState
from smsproxy.simulator import network as simulated_network
from smsproxy.simulator.models import (
    FaultKind,
    SimulatedNumber,
    SimulatedText,
    Verb,
)
from smsproxy.simulator.network import WebhookNotDelivered, send_from_handset
from tests.support.builders import ALICE, BOB
from tests.support.simulated import OURS, arrived, fault, phone

# The simulator calls webhooks within the process. Like any request, each call closes the database connection.
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_text_from_one_phone_is_relayed_to_the_other(conversation):
    send_from_handset(phone(ALICE), OURS, "Where are you? 🚗")
    Relay().send_due()
    assert arrived(BOB) == ["Where are you? 🚗"]
    assert arrived(ALICE) == []
    assert [message.state for message in conversation.messages.all()] == [OutboundState.DELIVERED]


def test_a_webhook_called_twice_has_one_effect(conversation):
    fault(Verb.RECEIVE, FaultKind.DUPLICATE_INBOUND)
    send_from_handset(phone(ALICE), OURS, "Once")
    Relay().send_due()
    assert arrived(BOB) == ["Once"]
    assert InboundMessage.objects.get().outcome == InboundOutcome.RELAYED


def test_a_long_message_is_sent_in_parts_and_arrives_as_one(conversation):
    words = "I am at the north exit of the station, blue coat. 🚗 " * 5
    fault(Verb.RECEIVE, FaultKind.DUPLICATE_INBOUND)
    send_from_handset(phone(ALICE), OURS, words)
    Relay().send_due()
    assert arrived(BOB) == [words]
    outcomes = InboundMessage.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == [InboundOutcome.PART] * 4 + [InboundOutcome.RELAYED]


def test_a_text_to_a_number_without_webhook_goes_nowhere(network):
    SimulatedNumber.objects.update(webhook_url="")
    with pytest.raises(WebhookNotDelivered, match="configure_numbers"):
        send_from_handset(phone(ALICE), OURS, "Hello?")
    with pytest.raises(WebhookNotDelivered, match="does not rent"):
        send_from_handset(phone(ALICE), "+447700900199", "Hello?")
    assert not SimulatedText.objects.exists()


def test_a_webhook_that_does_not_answer_200_is_an_error(network):
    SimulatedNumber.objects.update(webhook_url="https://sms.example.com/no/such/place")
    with pytest.raises(WebhookNotDelivered, match="answered 404"):
        send_from_handset(phone(ALICE), OURS, "Hello?")
    assert not SimulatedText.objects.exists()


def test_a_repeated_receipt_is_stored_once(conversation, monkeypatch):
    posted = []
    original = simulated_network.pass_receipt
    monkeypatch.setattr(
        simulated_network, "pass_receipt", lambda *args, **kw: (posted.append(1), original(*args, **kw))
    )
    fault(Verb.SEND, FaultKind.DUPLICATE_RECEIPT)
    send_from_handset(phone(ALICE), OURS, "Hello")
    Relay().send_due()
    assert len(posted) == 2
    assert DeliveryReceipt.objects.count() == 1
    assert [message.state for message in conversation.messages.all()] == [OutboundState.DELIVERED]

"""Each step of a message writes one log line with the ids of the message."""

import logging

import pytest

from conversations.delivery.claim import claim
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.intake import receive
from conversations.models import InboundMessage, OutboundMessage
from conversations.worker.periodic_jobs import recover_leases
from smsproxy.carriers.base import (
    InboundText,
    OutcomeUnknown,
    PermanentFailure,
    Receipt,
    ReceiptStatus,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from smsproxy.database.clock import database_now
from smsproxy.logs.fields import fields_of
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, proxies, talk

pytestmark = pytest.mark.django_db(transaction=True)  # Lines are written after the commit.


@pytest.fixture
def lines(caplog):
    """Return a function that returns the new lines: level, message and fields."""
    caplog.set_level(logging.INFO)

    def new():
        ours = [each for each in caplog.records if each.name == "conversations.delivery.steps"]
        caplog.clear()
        return [(each.levelname, each.getMessage(), fields_of(each)) for each in ours]

    return new


@pytest.fixture
def conversation():
    add_numbers(4)
    return talk(ALICE, BOB, CHARLIE)


def text(conversation, **changes):
    about = {"carrier_message_id": "0a1", "sender": ALICE, "recipient": proxies(conversation)[0], "text": "hello"}
    return InboundText(**{**about, **changes})


def test_a_relayed_message_names_all_its_relays(conversation, lines):
    receive.receive(text(conversation))

    inbound = InboundMessage.objects.get()
    refs = list(OutboundMessage.objects.order_by("pk").values_list("client_ref", flat=True))
    assert len(refs) == 2
    [(level, message, fields)] = lines()
    assert (level, message) == ("INFO", "inbound message: relayed")
    assert sorted(fields.pop("message_refs")) == sorted(refs)
    assert fields == {
        "outcome": "relayed",
        "inbound_id": inbound.pk,
        "conversation_id": conversation.pk,
        "conversation": str(conversation.public_id),
        "carrier_message_id": "0a1",
    }


def test_a_repeated_message_says_so(conversation, lines):
    receive.receive(text(conversation))
    lines()

    receive.receive(text(conversation))

    assert lines() == [
        ("INFO", "inbound message: repeated, no effect", {"outcome": "repeated", "carrier_message_id": "0a1"})
    ]


def test_a_message_that_is_not_relayed_says_why(conversation, lines):
    receive.receive(text(conversation, sender=STRANGER))

    [(_, message, fields)] = lines()
    assert message == "inbound message: no_route"
    assert fields == {"outcome": "no_route", "inbound_id": InboundMessage.objects.get().pk, "carrier_message_id": "0a1"}


@pytest.mark.parametrize(
    ("answer", "level", "message", "outcome", "code"),
    [
        (SendReply(parts=(SentPart(carrier_message_id="0a2"),)), "INFO", "sent", "sent", None),
        (
            SendReply(parts=(SentPart(carrier_message_id="0a2"), SentPart(carrier_message_id="", error_code="5"))),
            *("WARNING", "sent in part", "sent in part", "5"),
        ),
        (TemporaryFailure("busy", retry_after=60), "INFO", "TemporaryFailure (busy)", "TemporaryFailure", None),
        (PermanentFailure("refused", code="6"), "WARNING", "PermanentFailure (refused)", "PermanentFailure", "6"),
        (OutcomeUnknown("no answer"), "WARNING", "OutcomeUnknown (no answer)", "OutcomeUnknown", None),
    ],
)
def test_an_attempt_to_send_says_how_it_ended(conversation, carrier, lines, answer, level, message, outcome, code):
    receive.receive(text(conversation))
    lines()
    carrier.script = [answer if isinstance(answer, Exception) else lambda text: answer]

    Relay().send_due()

    said, fields = next((line[:2], line[2]) for line in lines() if line[1].startswith("outbound"))
    sent = OutboundMessage.objects.get(client_ref=fields["message_ref"])
    assert said == (level, f"outbound message: {message}")
    assert (fields["inbound_id"], fields["conversation_id"]) == (sent.inbound_id, conversation.pk)
    assert (fields["outcome"], fields.get("code"), fields["attempt"]) == (outcome, code, 1)
    assert "seconds" in fields


def test_a_receipt_names_its_message(conversation, carrier, lines):
    receive.receive(text(conversation))
    Relay().send_due()
    message = OutboundMessage.objects.first()
    part = message.parts.get().carrier_message_id
    lines()

    receive_receipt(Receipt(carrier_message_id=part, client_ref="", status=ReceiptStatus.UNDELIVERED, error_code="1"))

    [(_, said, fields)] = [line for line in lines() if line[1].startswith("delivery")]
    assert said == "delivery receipt: undelivered"
    assert fields == {
        "inbound_id": message.inbound_id,
        "conversation_id": conversation.pk,
        "message_ref": message.client_ref,
        "carrier_message_id": part,
        "status": "undelivered",
        "code": "1",
    }


def test_a_receipt_without_a_message_says_so(lines):
    receive_receipt(Receipt(carrier_message_id="0a9", client_ref="", status=ReceiptStatus.DELIVERED))

    assert lines() == [
        (
            "INFO",
            "delivery receipt: delivered, of a message that is not known yet",
            {"carrier_message_id": "0a9", "status": "delivered"},
        )
    ]


def test_a_message_whose_worker_is_gone_is_named(conversation, lines):
    receive.receive(text(conversation))
    lines()
    claim(2)
    OutboundMessage.objects.update(lease_until=database_now())

    assert recover_leases() == 2

    found = lines()
    refs = set(OutboundMessage.objects.values_list("client_ref", flat=True))
    assert {line[1] for line in found} == {"outbound message: unknown (its worker did not report back)"}
    assert {line[2]["message_ref"] for line in found} == refs

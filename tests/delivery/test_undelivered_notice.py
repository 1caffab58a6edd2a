"""The sender of a message that was not delivered gets one notice."""

import pytest

from conversations.delivery import outbox, undelivered_notice
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.intake import receive
from conversations.models import OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import (
    InboundText,
    PermanentFailure,
    Receipt,
    ReceiptStatus,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.outbox import later, state_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(db):
    add_numbers(3)
    return talk(ALICE, BOB)


@pytest.fixture
def group(db):
    add_numbers(3)
    return talk(ALICE, BOB, CHARLIE)


def says(conversation, words="hello"):
    """Send a message from Alice. Return its relays, one for each recipient."""
    to = proxies(conversation)[0]
    receive.receive(InboundText(carrier_message_id=words[:80], sender=ALICE, recipient=to, text=words))
    Relay().send_due()
    return list(OutboundMessage.objects.filter(inbound__carrier_message_id=words[:80]).order_by("pk"))


def is_lost(message, status=ReceiptStatus.UNDELIVERED, part=""):
    part = part or message.parts.get().carrier_message_id
    receive_receipt(Receipt(carrier_message_id=part, client_ref=f"{message.client_ref}.1", status=status))


def told():
    """Return the recipient, the sender and the text of each notice."""
    notices = OutboundMessage.objects.filter(kind="notice").order_by("pk")
    return [(notice.recipient.number, notice.sender.number, notice.text) for notice in notices]


def test_the_sender_of_an_undelivered_message_gets_a_notice_from_their_own_proxy_number(
    carrier, conversation, settings
):
    [relay] = says(conversation)

    is_lost(relay)

    assert state_of(relay) == "undelivered"
    assert told() == [(ALICE, proxies(conversation)[0], settings.UNDELIVERED_NOTICE)]


def test_the_sender_of_a_partly_rejected_message_gets_a_notice(carrier, conversation):
    taken, refused = SentPart(carrier_message_id="a"), SentPart(carrier_message_id="", error_code="6")
    carrier.script = [lambda text: SendReply(parts=(taken, refused))]

    [relay] = says(conversation, "x" * 200)

    assert state_of(relay) == "undelivered"
    assert len(told()) == 1


def test_the_sender_of_a_rejected_message_gets_a_notice(carrier, conversation):
    carrier.script = [PermanentFailure("an invalid recipient", code="6")]

    [relay] = says(conversation)

    assert state_of(relay) == "failed"
    assert len(told()) == 1


def test_the_sender_of_an_expired_message_gets_a_notice(carrier, conversation, settings, time_machine):
    carrier.script = [TemporaryFailure("busy", retry_after=settings.MESSAGE_MAX_AGE_SECONDS + 1)]
    [relay] = says(conversation)
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 2)

    Relay().send_due()

    assert state_of(relay) == "failed"
    assert len(told()) == 1


def test_the_sender_of_a_delivered_message_gets_no_notice(carrier, conversation):
    [relay] = says(conversation)

    is_lost(relay, ReceiptStatus.DELIVERED)

    assert told() == []


def test_a_sender_gets_at_most_one_notice_an_hour(carrier, conversation, time_machine):
    time_machine.move_to("2036-11-22T12:59:00Z", tick=True)
    first, second, third = (says(conversation, words)[0] for words in ("one", "two", "three"))

    is_lost(first)
    later(time_machine, 120)  # Into the next hour.
    is_lost(second)
    assert len(told()) == 1
    later(time_machine, 3600)
    is_lost(third)

    assert len(told()) == 2


def test_in_a_group_a_message_causes_one_notice_for_all_its_recipients(carrier, group, time_machine):
    relays = says(group)
    assert len(relays) == 2

    is_lost(relays[0])
    later(time_machine, 48 * 3600)
    is_lost(relays[1])

    assert len(told()) == 1


def test_a_second_receipt_for_the_same_message_causes_no_notice(carrier, conversation, time_machine):
    [relay] = says(conversation)
    is_lost(relay)
    later(time_machine, 48 * 3600)

    is_lost(relay, part="another part of it")

    assert len(told()) == 1


def test_an_undelivered_notice_causes_no_further_notice(carrier, conversation):
    notice = outbox.queue_notice(members(conversation)[1], "hello")
    Relay().send_due()
    notice.refresh_from_db()

    is_lost(notice)

    assert state_of(notice) == "undelivered"
    assert told() == [(BOB, proxies(conversation)[1], "hello")]


def test_a_lost_undelivered_notice_is_not_reported_again(carrier, conversation):
    [relay] = says(conversation)
    is_lost(relay)
    Relay().send_due()

    is_lost(OutboundMessage.objects.get(kind="notice"))

    assert len(told()) == 1


def test_no_notice_is_sent_from_a_released_number(carrier, conversation, settings, time_machine):
    [relay] = says(conversation)
    conversation.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    is_lost(relay)

    assert state_of(relay) == "undelivered"
    assert told() == []


def test_no_notice_is_sent_if_its_text_is_empty_in_the_settings(carrier, conversation, settings):
    settings.UNDELIVERED_NOTICE = ""
    [relay] = says(conversation)

    is_lost(relay)

    assert told() == []


def test_a_failed_message_causes_no_second_notice_when_its_receipt_arrives(carrier, conversation, time_machine):
    [relay] = says(conversation)
    OutboundMessage.objects.filter(pk=relay.pk).update(state="queued")
    relay.refresh_from_db()
    undelivered_notice.notify_sender(relay.fail(reason="refused"))
    assert len(told()) == 1
    later(time_machine, 48 * 3600)

    is_lost(relay)

    assert state_of(relay) == "undelivered"
    assert len(told()) == 1


def test_a_failed_message_becomes_delivered_by_a_later_receipt(carrier, conversation):
    [relay] = says(conversation)
    OutboundMessage.objects.filter(pk=relay.pk).update(state="queued")
    relay.refresh_from_db()
    undelivered_notice.notify_sender(relay.fail(reason="refused"))

    is_lost(relay, ReceiptStatus.DELIVERED)

    assert state_of(relay) == "delivered"
    assert len(told()) == 1

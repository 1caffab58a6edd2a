"""Who wrote a text that did not arrive after all is told so, once."""

import pytest

from conversations.delivery import outbox, undelivered_notice
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.intake import receive
from conversations.models import OutboundMessage
from conversations.worker.periodic_jobs import sweep
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
    """Alice texts the others; what was sent to each of them."""
    to = proxies(conversation)[0]
    receive.receive(InboundText(carrier_message_id=words[:80], sender=ALICE, recipient=to, text=words))
    Relay().send_due()
    return list(OutboundMessage.objects.filter(inbound__carrier_message_id=words[:80]).order_by("pk"))


def is_lost(message, status=ReceiptStatus.UNDELIVERED, part=""):
    part = part or message.parts.get().carrier_message_id
    receive_receipt(Receipt(carrier_message_id=part, client_ref=f"{message.client_ref}.1", status=status))


def told():
    """Who was told, from which number, and in which words."""
    notices = OutboundMessage.objects.filter(kind="notice").order_by("pk")
    return [(notice.recipient.number, notice.sender.number, notice.text) for notice in notices]


def test_who_wrote_a_text_that_is_given_up_is_told_from_their_own_proxy_number(carrier, conversation, settings):
    [relay] = says(conversation)

    is_lost(relay)

    assert state_of(relay) == "undelivered"
    assert told() == [(ALICE, proxies(conversation)[0], settings.UNDELIVERED_NOTICE)]


def test_who_wrote_a_text_of_which_the_carrier_refuses_a_part_is_told(carrier, conversation):
    taken, refused = SentPart(carrier_message_id="a"), SentPart(carrier_message_id="", error_code="6")
    carrier.script = [lambda text: SendReply(parts=(taken, refused))]

    [relay] = says(conversation, "x" * 200)

    assert state_of(relay) == "undelivered"
    assert len(told()) == 1


def test_who_wrote_a_text_that_the_carrier_refuses_is_told(carrier, conversation):
    carrier.script = [PermanentFailure("an invalid recipient", code="6")]

    [relay] = says(conversation)

    assert state_of(relay) == "failed"
    assert len(told()) == 1


def test_who_wrote_a_text_that_grew_too_old_is_told(carrier, conversation, settings, time_machine):
    carrier.script = [TemporaryFailure("busy", retry_after=settings.MESSAGE_MAX_AGE_SECONDS + 1)]
    [relay] = says(conversation)
    later(time_machine, settings.MESSAGE_MAX_AGE_SECONDS + 2)

    Relay().send_due()

    assert state_of(relay) == "failed"
    assert len(told()) == 1


def test_who_wrote_a_text_that_arrives_is_told_nothing(carrier, conversation):
    [relay] = says(conversation)

    is_lost(relay, ReceiptStatus.DELIVERED)

    assert told() == []


def test_each_is_told_once_in_a_while_at_most(carrier, conversation, settings, time_machine):
    time_machine.move_to("2026-11-22T12:59:00Z", tick=True)
    first, second, third = (says(conversation, words)[0] for words in ("one", "two", "three"))

    is_lost(first)
    later(time_machine, 120)  # Past the full hour.
    is_lost(second)
    assert len(told()) == 1
    later(time_machine, settings.UNDELIVERED_NOTICE_INTERVAL_SECONDS)
    is_lost(third)

    assert len(told()) == 2


def test_in_a_group_one_text_that_reaches_nobody_is_told_of_once_however_late(carrier, group, time_machine):
    relays = says(group)
    assert len(relays) == 2

    is_lost(relays[0])
    later(time_machine, 48 * 3600)
    is_lost(relays[1])

    assert len(told()) == 1


def test_a_second_word_on_the_same_text_is_not_told(carrier, conversation, time_machine):
    [relay] = says(conversation)
    is_lost(relay)
    later(time_machine, 48 * 3600)

    is_lost(relay, part="another part of it")

    assert len(told()) == 1


def test_a_notice_that_is_lost_is_told_to_nobody(carrier, conversation):
    notice = outbox.queue_notice(members(conversation)[1], "hello")
    Relay().send_due()
    notice.refresh_from_db()

    is_lost(notice)

    assert state_of(notice) == "undelivered"
    assert told() == [(BOB, proxies(conversation)[1], "hello")]


def test_the_notice_itself_is_told_to_nobody_when_it_is_lost(carrier, conversation):
    [relay] = says(conversation)
    is_lost(relay)
    Relay().send_due()

    is_lost(OutboundMessage.objects.get(kind="notice"))

    assert len(told()) == 1


def test_nobody_is_told_from_a_number_that_stands_for_others_by_now(carrier, conversation, settings, time_machine):
    [relay] = says(conversation)
    conversation.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    sweep()

    is_lost(relay)

    assert state_of(relay) == "undelivered"
    assert told() == []


def test_without_a_notice_in_the_settings_nobody_is_told(carrier, conversation, settings):
    settings.UNDELIVERED_NOTICE = ""
    [relay] = says(conversation)

    is_lost(relay)

    assert told() == []


def test_a_message_that_failed_is_told_of_and_not_again_when_its_receipt_comes(carrier, conversation, time_machine):
    [relay] = says(conversation)
    OutboundMessage.objects.filter(pk=relay.pk).update(state="queued")
    relay.refresh_from_db()
    undelivered_notice.notify_sender(relay.fail(reason="refused"))
    assert len(told()) == 1
    later(time_machine, 48 * 3600)

    is_lost(relay)

    assert state_of(relay) == "undelivered"
    assert len(told()) == 1


def test_a_failure_that_turns_out_delivered_does_no_harm(carrier, conversation):
    [relay] = says(conversation)
    OutboundMessage.objects.filter(pk=relay.pk).update(state="queued")
    relay.refresh_from_db()
    undelivered_notice.notify_sender(relay.fail(reason="refused"))

    is_lost(relay, ReceiptStatus.DELIVERED)

    assert state_of(relay) == "delivered"
    assert len(told()) == 1

"""Messages of a participant whose number is replaced: texts, queued messages and notices."""

import pytest
from django.utils import timezone

from conversations.delivery.undelivered_notice import notify_sender
from conversations.lifecycle.replace_number import replace
from conversations.models import OutboundMessage, OutboundState, Participant
from numbers.models import NumberState
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.replacements import number_of, text
from tests.support.terminal import states

pytestmark = pytest.mark.django_db


def test_the_new_number_and_the_cooling_old_one_reach_the_other_person(talking):
    alice, bob = members(talking)
    list(replace(alice.proxy_number))
    new = number_of(talking)

    text(ALICE, new.number, "one")
    text(ALICE, alice.proxy_number.number, "two")
    text(BOB, bob.proxy_number.number, "three")

    relays = OutboundMessage.objects.filter(kind="relay").order_by("id")
    assert [(each.sender, each.recipient_id) for each in relays] == [
        (bob.proxy_number, bob.real_number_id),
        (bob.proxy_number, bob.real_number_id),
        (new, alice.real_number_id),
    ]


def test_queued_messages_of_a_number_that_cannot_send_move_to_the_new_number(talking):
    alice, bob = members(talking)
    text(BOB, bob.proxy_number.number)
    alice.proxy_number.quarantine(reason="the carrier refuses it")

    list(replace(alice.proxy_number))

    new = number_of(talking)
    relay = OutboundMessage.objects.get(kind="relay")
    assert (relay.sender, relay.state) == (new, OutboundState.QUEUED)
    assert states()[alice.proxy_number.number] == NumberState.QUARANTINED


def test_queued_messages_of_a_number_that_can_send_stay_with_it(talking):
    """From another number they could overtake earlier messages, or be overtaken."""
    alice, bob = members(talking)
    text(BOB, bob.proxy_number.number)

    list(replace(alice.proxy_number))

    assert OutboundMessage.objects.get(kind="relay").sender == alice.proxy_number


def test_in_a_group_the_notice_names_the_others_and_the_sender_gets_no_copy(run):
    add_numbers(5)
    group = talk(ALICE, BOB, CHARLIE)
    alice = members(group)[0]
    list(replace(alice.proxy_number))

    text(ALICE, alice.proxy_number.number)

    assert OutboundMessage.objects.get(kind="notice").text.endswith("to talk to Bob and Charlie")
    relays = OutboundMessage.objects.filter(kind="relay")
    assert {each.recipient.number for each in relays} == {BOB, CHARLIE}
    assert {each.text for each in relays} == {"Alice: hello"}


def undelivered_notices(settings):
    notices = OutboundMessage.objects.filter(kind="notice")
    return [notice for notice in notices if notice.text == settings.UNDELIVERED_NOTICE]


def test_the_undelivered_notice_for_a_message_to_the_old_number_comes_from_the_new_one(talking, settings):
    alice = members(talking)[0]
    text(ALICE, alice.proxy_number.number)
    list(replace(alice.proxy_number))
    relay = OutboundMessage.objects.get(kind="relay")
    relay.fail(reason="refused")

    notify_sender(relay)

    [notice] = undelivered_notices(settings)
    assert notice.sender == number_of(talking)


def test_no_undelivered_notice_is_sent_if_the_new_number_was_released(talking, settings):
    alice = members(talking)[0]
    text(ALICE, alice.proxy_number.number)
    list(replace(alice.proxy_number))
    relay = OutboundMessage.objects.get(kind="relay")
    relay.fail(reason="refused")
    Participant.objects.filter(pk=members(talking)[0].pk).update(released_at=timezone.now())

    notify_sender(relay)

    assert undelivered_notices(settings) == []

"""A long message without a live route reaches nobody, and is answered at most once."""

import pytest

from conversations.models import Conversation, LongMessage, OutboundMessage
from numbers.models import NumberState, VirtualNumber
from tests.support.builders import ALICE, CHARLIE, STRANGER, members, proxies, talk
from tests.support.long_messages import joined_messages, pass_time, relayed
from tests.support.outbox import later

pytestmark = pytest.mark.django_db


def test_a_long_message_to_an_ended_conversation_reaches_nobody_and_is_answered_once(
    receive_part, settings, alice_proxy
):
    Conversation.objects.get().close()

    for part in (1, 2, 3):
        receive_part(f"{part}", part, 3)

    [whole] = joined_messages()
    assert whole.outcome == "ended"
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.ENDED_NOTICE]


def test_a_part_for_an_ended_conversation_whose_numbers_were_reassigned_reaches_nobody(
    receive_part, time_machine, settings, alice_proxy
):
    VirtualNumber.objects.exclude(number=alice_proxy).update(state=NumberState.DRAINING)
    Conversation.objects.get().close()
    later(time_machine, settings.COOL_DOWN_SECONDS - 10)
    former = members(Conversation.objects.get())[0]
    receive_part("for Bob ", 1, 2)
    pass_time(time_machine, 20)
    assert proxies(talk(ALICE, CHARLIE)) == [alice_proxy, alice_proxy]

    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS)

    [whole] = joined_messages()
    assert (whole.outcome, whole.participant) == ("ended", former)
    assert relayed() == []
    assert [message.recipient.number for message in OutboundMessage.objects.all()] == [ALICE]


def test_a_strangers_long_message_is_stored_whole_and_answered_once(receive_part, settings):
    for part in (1, 2):
        receive_part(f"{part}", part, 2, sender=STRANGER)

    [whole] = joined_messages()
    assert (whole.outcome, whole.text) == ("no_route", "12")
    assert [message.text for message in OutboundMessage.objects.all()] == [settings.NO_ROUTE_NOTICE]


def test_a_long_message_from_one_of_our_own_numbers_is_not_joined_and_never_answered(receive_part, alice_proxy):
    ours = VirtualNumber.objects.exclude(number=alice_proxy).first()

    message = receive_part("echo", 1, 2, sender=ours.number)

    assert message.outcome == "loop"
    assert not LongMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize("ends", [{"sender": "+PARCELS"}, {"to": "+447700900777"}])
def test_a_part_with_an_unusable_sender_or_recipient_is_stored_raw(receive_part, ends):
    message = receive_part("one ", 1, 2, **ends)

    assert (message.outcome, message.part, message.parts) == ("no_route", 1, 2)
    assert "one " in message.raw
    assert not LongMessage.objects.exists()
    assert not OutboundMessage.objects.exists()

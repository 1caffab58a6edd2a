"""Every change of a state that integrators are told of has its event, in the same transaction."""

from itertools import product

import pytest
from django.db import transaction

from conversations.delivery.outbox import queue_notice
from conversations.models import Conversation, ConversationState, FailureReason, OutboundMessage, OutboundState
from numbers.models import NumberState, VirtualNumber
from smsproxy.events.models import FeedEvent
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, add_number, add_numbers, members, talk

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_event_is_valid")]

OF_MESSAGES = {
    OutboundState.SENT: "message.sent",
    OutboundState.DELIVERED: "message.delivered",
    OutboundState.UNDELIVERED: "message.undelivered",
    OutboundState.FAILED: "message.failed",
    OutboundState.UNKNOWN: "message.unknown",
    OutboundState.CANCELLED: "message.cancelled",
}


def changes(model):
    return [
        pytest.param(before, after, id=f"{before} to {after}")
        for before, after in product(model.ALLOWED, model.ALLOWED)
        if after in model.ALLOWED[before]
    ]


def events():
    return list(FeedEvent.objects.order_by("pk").values_list("type", flat=True))


@pytest.mark.parametrize(("before", "after"), changes(OutboundMessage))
def test_each_change_of_a_message_is_told_unless_it_only_waits_again(before, after):
    add_numbers(2)
    bob = members(talk(ALICE, BOB))[1]
    message = queue_notice(bob, "hello")
    OutboundMessage.objects.update(state=before)
    message.refresh_from_db()
    FeedEvent.objects.all().delete()

    message.transition(after, reason="for the test", failure=FailureReason.NETWORK)

    if after in (OutboundState.QUEUED, OutboundState.SENDING):
        assert events() == []
        return
    [event] = FeedEvent.objects.all()
    assert event.type == OF_MESSAGES[after]
    assert (event.service_id, event.conversation_id) == (1, bob.conversation_id)
    assert (event.outbound_id, event.participant) == (message.pk, 1)


@pytest.mark.parametrize(("before", "after"), changes(VirtualNumber))
def test_each_change_of_a_number_is_told_to_nobody_s_service(before, after):
    number = add_number("+447700900500", NumberState.ACTIVE)
    VirtualNumber.objects.update(state=before, is_rented=before != NumberState.ORDERED)
    number.refresh_from_db()

    number.transition(after, reason="for the test", is_rented=after != NumberState.ORDERED)

    [event] = FeedEvent.objects.all()
    assert (event.type, event.service_id) == (f"number.{after}", None)
    assert event.data == {"number": "+447700900500", "reason": "for the test"}


def test_what_is_noted_of_a_number_without_a_change_is_not_told():
    add_number("+447700900500", NumberState.ACTIVE).record_event("active", old_state="active", reason="pointed at us")

    assert events() == []


def test_each_change_of_a_conversation_is_told():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.hold(reason="by hand", actor="kim")
    conversation.release_hold(reason="checked", actor="kim")
    conversation.change(reference="order-42")
    conversation.close()
    conversation.reopen()
    conversation.close_permanently()

    assert {state: Conversation.ALLOWED[state] for state in ConversationState} == {
        ConversationState.OPEN: {ConversationState.CLOSED},
        ConversationState.CLOSED: {ConversationState.OPEN},
    }
    assert events() == [
        "conversation.created",
        "conversation.held",
        "conversation.released",
        "conversation.changed",
        "conversation.closed",
        "conversation.reopened",
        "conversation.closed",
    ]


def test_a_change_that_came_too_late_is_not_told():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    same = Conversation.objects.get()
    conversation.close()
    before = events()

    with pytest.raises(StaleState):
        same.close()

    assert events() == before


def test_a_change_that_is_rolled_back_is_not_told():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    before = events()

    with transaction.atomic():
        conversation.close()
        transaction.set_rollback(True)

    assert events() == before

"""Ended conversations and forgotten people go after their messages."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.delivery import outbox
from conversations.models import (
    Block,
    Conversation,
    ConversationEvent,
    InboundMessage,
    OutboundMessage,
    Participant,
)
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import RealNumber
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, members, replace_number_of
from tests.support.outbox import later
from tests.support.retention import DAY, counts, pass_over, walk_again

URL = "/api/v1/conversations/"

pytestmark = pytest.mark.django_db


def test_an_open_conversation_goes_on_after_its_messages_are_gone(says, conversation, time_machine, carrier, api):
    says("one")
    later(time_machine, 400 * DAY)
    pass_over()
    assert counts(InboundMessage, OutboundMessage) == [0, 0]

    says("two")

    assert [text.recipient for text in carrier.sent] == [BOB, BOB]
    assert counts(Conversation, Participant, RealNumber) == [1, 2, 2]


def test_an_ended_conversation_goes_with_its_people_after_its_messages(says, conversation, time_machine, api):
    says("one")
    conversation.close()
    later(time_machine, 8 * DAY)
    run_jobs()
    assert not Participant.objects.unreleased().exists()

    later(time_machine, 357 * DAY)
    walk_again(time_machine)
    # It ended a year ago. Its numbers were released seven days later.
    assert counts(Conversation, Participant, RealNumber) == [1, 2, 2]

    later(time_machine, 7 * DAY)
    walk_again(time_machine)
    walk_again(time_machine)
    assert counts(Conversation, Participant, ConversationEvent, RealNumber) == [0, 0, 0, 0]
    assert api.get(f"{URL}{conversation.public_id}/").status_code == 404


def test_a_conversation_whose_number_was_replaced_goes_too(conversation, time_machine):
    replace_number_of(members(conversation)[0])
    conversation.close()
    later(time_machine, 8 * DAY)
    run_jobs()
    OutboundMessage.objects.update(state="sent")
    later(time_machine, 367 * DAY)
    pass_over()

    walk_again(time_machine)

    assert counts(Conversation, Participant, OutboundMessage) == [0, 0, 0]


def test_a_conversation_that_is_not_released_yet_stays(conversation, time_machine):
    conversation.close()
    Participant.objects.update(release_at=timezone.now() + timedelta(days=1000))
    later(time_machine, 800 * DAY)

    walk_again(time_machine)

    assert counts(Conversation, Participant) == [1, 2]


def test_a_conversation_with_an_unsettled_message_stays(conversation, time_machine):
    message = outbox.queue_notice(members(conversation)[1], "hello")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")
    conversation.close()
    later(time_machine, 8 * DAY)
    run_jobs()
    later(time_machine, 800 * DAY)

    walk_again(time_machine)

    assert counts(Conversation, Participant, OutboundMessage) == [1, 2, 1]


def test_a_person_who_opted_out_or_is_blocked_stays_and_others_are_forgotten(time_machine):
    people = RealNumber.objects.add([ALICE, BOB, CHARLIE, STRANGER])
    people[ALICE].opt_out(reason="texted STOP")
    Block.objects.create(person=people[BOB], other=people[CHARLIE], reason="spam", created_by="staff")
    later(time_machine, 366 * DAY)

    pass_over()

    assert set(RealNumber.objects.all()) == {people[ALICE], people[BOB], people[CHARLIE]}
    assert people[ALICE].events.count() == 1
    assert Block.objects.count() == 1


def test_a_person_in_a_conversation_stays_however_old(conversation, time_machine):
    later(time_machine, 3000 * DAY)

    walk_again(time_machine)

    assert counts(RealNumber, Participant) == [2, 2]

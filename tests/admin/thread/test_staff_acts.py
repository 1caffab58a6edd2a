"""The thread tells what staff did to the people and the texts of a conversation, and why, in quiet lines."""

from datetime import timedelta

import pytest
from django.urls import reverse

from conversations.models import Block, OutboundMessage
from conversations.trust.blocks import block_pair, block_person
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.inbox import free_number, lost_text
from tests.support.staff_members import signed_in
from tests.support.threads import busy_thread

pytestmark = pytest.mark.django_db

SEE = "conversations.view_conversation"
WHY = "ticket 4711"


@pytest.fixture
def ride(db):
    add_numbers(6)
    return talk(ALICE, BOB, reference="order-17")


@pytest.fixture
def sam(db):
    rights = ("add_block", "change_outboundmessage", "message_participants")
    return signed_in(SEE, "conversations.view_block", *(f"conversations.{right}" for right in rights))


def lines(client, conversation):
    """Return the quiet lines of the thread as title, detail and actor."""
    page = reverse("admin:conversations_conversation_change", args=[conversation.pk])
    found = client.get(page).context["lines"]
    return [(line.event.title, line.event.detail, line.actor) for line in found if line.event]


def test_the_thread_shows_a_block_and_its_end_with_whom_until_when_and_why(sam, ride):
    url = reverse("admin:conversations_conversation_block", args=[ride.pk, 1])
    sam.post(url, {"towards": -1, "days": 7, "everywhere": 0, "reason": WHY})
    sam.post(url, {"towards": 0, "days": 0, "everywhere": 1, "reason": "they quarrel"})
    for block in Block.objects.order_by("pk"):
        block.end(reason="a mistake", actor="tina")

    until = f"{Block.objects.earliest('pk').until:%Y-%m-%d %H:%M}"
    assert lines(sam, ride)[1:] == [
        (f"Bob blocked until {until} UTC", WHY, "sam"),
        ("Bob and Alice blocked towards each other", "they quarrel", "sam"),
        ("Block of Bob ended", "a mistake", "tina"),
        ("Block of Bob and Alice ended", "a mistake", "tina"),
    ]


def test_a_block_is_not_told_to_who_may_see_no_blocks(ride):
    block_person(members(ride)[1].real_number, reason="threats", actor="tina")

    assert lines(signed_in(SEE, name="sue"), ride)[1:] == []


def test_the_thread_shows_only_blocks_of_its_own_service_people_and_time(sam, ride):
    alice, bob = (row.real_number for row in members(ride))
    other = talk(ALICE, CHARLIE)
    block_pair(alice, members(other)[1].real_number, reason="elsewhere", actor="tina")
    foreign = Service.objects.create(name="foreign")
    block_person(bob, reason="elsewhere", actor="tina", service_id=foreign.pk)
    old = block_person(bob, reason="elsewhere", actor="tina")
    Block.objects.filter(pk=old.pk).update(created_at=ride.created_at - timedelta(days=1))

    assert len(lines(sam, ride)) == 1


def test_the_thread_shows_why_everybody_was_texted(sam, ride):
    url = reverse("admin:conversations_conversation_act", args=[ride.pk, "text"])
    sam.post(url, {"reason": WHY, "text": "Hi", "previewed": "Hi"})
    other = talk(ALICE, BOB)

    assert ("Text to everybody", WHY, "sam") in lines(sam, ride)
    assert len(lines(sam, other)) == 1


def test_the_thread_shows_who_sent_a_text_again_and_why(carrier, sam):
    conversation = busy_thread(carrier)
    lost = OutboundMessage.objects.get(state="unknown")
    url = reverse("admin:conversations_conversation_message_act", args=[conversation.pk, lost.pk, "resend"])
    sam.post(url, {"reason": WHY})

    assert ("Sent again to Bob", WHY, "sam") in lines(sam, conversation)


def test_the_thread_shows_who_passed_on_texts_from_the_inbox_and_why(ride):
    client = signed_in(SEE, "conversations.view_inboxitem", "conversations.change_inboxitem")
    text = lost_text(ALICE, free_number(ride))
    url = reverse("admin:inbox_act", args=["text", text.pk, "attach"])

    client.post(url, {"reason": WHY, "conversation": ride.pk})

    assert ("Passed on from the inbox, from Alice", WHY, "sam") in lines(client, ride)

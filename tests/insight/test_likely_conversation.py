"""The likely conversation of a text without a route: only of its sender, with the reason, and no guess on thin ice."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from conversations.insight.likely_conversation import Why, candidates, likely
from conversations.intake.receive import receive
from conversations.models import Conversation, InboundMessage, Participant
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.database.clock import database_now
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, replace_number_of, talk
from tests.support.inbox import free_number, lost_text

pytestmark = pytest.mark.django_db

DORA = "+447700900004"


@pytest.fixture
def conversation():
    add_numbers(6)
    return talk(ALICE, BOB, reference="order-17")


def found(text):
    return candidates([text]).get(text.pk, ())


def guess(text):
    best = likely(found(text))
    return (best.conversation, best.why) if best else None


def write(sender, number, words="hello"):
    receive(InboundText(carrier_message_id=f"{sender}-{number}-{words}", sender=sender, recipient=number, text=words))


def unused_number():
    """Return a virtual number that no conversation has."""
    return VirtualNumber.objects.exclude(participants__isnull=False).latest("pk").number


def forget_pair(participant):
    """Let the pair of a replaced number go, as after its cool-down."""
    Participant.objects.filter(pk=participant.pk).update(release_at=None, released_at=database_now())


def test_a_number_that_was_theirs_points_to_its_conversation(conversation):
    alice = members(conversation)[0]
    old = alice.proxy_number.number
    replace_number_of(alice)
    other = talk(ALICE, CHARLIE)
    forget_pair(alice)

    text = lost_text(ALICE, old)

    assert guess(text) == (conversation, Why.THEIR_NUMBER)
    assert found(text)[0].at == alice.replaced_at
    assert found(text)[0].is_open
    assert {each.conversation for each in found(text)} == {conversation, other}


def test_a_number_of_a_conversation_that_has_ended_says_until_when(conversation):
    number = proxies(conversation)[0]
    conversation.close()
    Participant.objects.update(release_at=None, released_at=database_now())

    text = lost_text(ALICE, number)

    assert guess(text) == (conversation, Why.THEIR_NUMBER)
    assert (found(text)[0].at, found(text)[0].is_open) == (conversation.closed_at, False)


def test_a_number_of_another_participant_points_to_their_conversation(conversation):
    alices, bobs = proxies(conversation)
    assert alices != bobs

    assert guess(lost_text(ALICE, bobs)) == (conversation, Why.OTHERS_NUMBER)


def test_the_only_open_conversation_of_a_person_is_likely(conversation):
    talk(ALICE, CHARLIE).close()

    assert guess(lost_text(ALICE, unused_number())) == (conversation, Why.ONLY_OPEN)


def test_of_several_open_ones_that_in_which_they_wrote_last_is_likely(conversation):
    other = talk(ALICE, CHARLIE)
    write(ALICE, proxies(other)[0], "first")
    write(ALICE, proxies(conversation)[0], "second")

    assert guess(lost_text(ALICE, unused_number())) == (conversation, Why.WROTE_LAST)


def test_nothing_is_guessed_across_services(conversation):
    other = talk(ALICE, CHARLIE)
    Conversation.objects.filter(pk=other.pk).update(service=Service.objects.create(name="food"))
    write(ALICE, proxies(conversation)[0])

    text = lost_text(ALICE, unused_number())

    assert guess(text) is None
    assert {each.conversation for each in found(text)} == {conversation, other}


def test_a_person_without_conversations_has_no_candidates(conversation):
    assert found(lost_text(STRANGER, free_number(conversation))) == []


def test_a_conversation_that_is_younger_than_the_text_is_no_candidate(conversation):
    text = lost_text(ALICE, free_number(conversation))
    Conversation.objects.update(created_at=database_now() + timedelta(minutes=1))

    assert found(text) == []


def test_many_texts_take_as_many_queries_as_one(conversation):
    def queries(texts):
        with CaptureQueriesContext(connection) as captured:
            candidates(texts)
        return len(captured)

    number = free_number(conversation)
    texts = [lost_text(who, number) for who in (ALICE, BOB)]

    assert queries(texts[:1]) == queries(texts) <= 4
    assert queries([]) == 0


@given(data=st.data())
def test_a_guess_is_always_a_conversation_of_the_sender_that_is_older_than_the_text(data):
    Participant.objects.all().delete()
    Conversation.objects.all().delete()
    numbers = list(VirtualNumber.objects.order_by("pk")) or add_numbers(6)
    people = [ALICE, BOB, CHARLIE, DORA]
    for _ in range(data.draw(st.integers(0, 4))):
        pair = data.draw(st.lists(st.sampled_from(people), min_size=2, max_size=2, unique=True))
        conversation = talk(*pair)
        if data.draw(st.booleans()):
            conversation.close()
    sender = data.draw(st.sampled_from([*people, STRANGER]))
    text = InboundMessage(pk=1, sender=person(sender), virtual_number=data.draw(st.sampled_from(numbers)))

    for each in found(text):
        assert each.conversation.participants.filter(real_number=text.sender).exists()
        assert each.conversation.created_at <= text.received_at


def person(number):
    return RealNumber.objects.get_or_create_many([number])[number]

"""Two people who meet again while the numbers of their last conversation still cool down."""

import pytest
from django.db.models import Count, F, Q
from django.test import Client

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, NoNumberFree, ParticipantSpec, RequestedNumberTaken
from conversations.models import InboundMessage, OutboundMessage, Participant
from numbers.models import NumberState, VirtualNumber
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.outbox import queue
from tests.support.signing import signed_inbound

pytestmark = pytest.mark.django_db


@pytest.fixture
def ended():
    """Alice and Bob have talked, in a pool with room."""
    add_numbers(8)
    return talk(ALICE, BOB).close()


def counts_are_right():
    live = Count("participants", filter=Q(participants__released_at=None))
    return not VirtualNumber.objects.annotate(counted=live).exclude(counted=F("live_pair_count")).exists()


@pytest.mark.parametrize("people", [(ALICE, BOB), (BOB, ALICE)])
def test_they_have_the_same_numbers_at_once(ended, people):
    had = dict(zip((ALICE, BOB), proxies(ended), strict=True))

    again = talk(*people)

    assert proxies(again) == [had[person] for person in people]
    assert {each.chosen_by for each in members(again)} == {"last used"}
    assert counts_are_right()
    assert "the same two meet again" in ended.events.first().reason


def test_somebody_who_meets_the_same_person_every_day_needs_one_number_for_them():
    add_numbers(1)

    for _ in range(5):
        talk(ALICE, BOB).close()

    assert Participant.objects.unreleased().count() == 2
    with pytest.raises(NoNumberFree):
        talk(ALICE, CHARLIE)


def test_a_late_text_reaches_the_same_person_in_the_new_conversation(ended):
    again = talk(ALICE, BOB)
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(again)[0][1:])
    Client().post("/webhooks/vonage/inbound-sms", params, "application/json")

    assert InboundMessage.objects.get().participant == members(again)[0]
    assert OutboundMessage.objects.get().recipient.number == BOB


def test_the_one_that_has_ended_cannot_be_reopened_any_more(ended):
    talk(ALICE, BOB)

    with pytest.raises(StaleState):
        ended.reopen()


def test_others_get_others_numbers(ended):
    alices = proxies(ended)[0]

    other = talk(ALICE, CHARLIE)

    assert proxies(other)[0] != alices
    assert counts_are_right()
    assert not Participant.objects.filter(conversation=ended, released_at__isnull=False).exists()


def test_avoid_sticky_leaves_them_to_cool_down(ended):
    again = talk(ALICE, BOB, stickiness="avoid-sticky")

    assert not set(zip((ALICE, BOB), proxies(ended), strict=True)) & set(zip((ALICE, BOB), proxies(again), strict=True))


def test_a_text_that_is_under_way_keeps_them_to_the_old_conversation(ended):
    queue(members(ended)[0], "See you tomorrow!")

    again = talk(ALICE, BOB)

    assert proxies(again)[0] != proxies(ended)[0]
    assert proxies(again)[1] != proxies(ended)[1]


def test_nor_are_they_given_while_our_own_word_that_it_has_ended_is_under_way(ended):
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(ended)[0][1:])
    Client().post("/webhooks/vonage/inbound-sms", params, "application/json")
    assert OutboundMessage.objects.get().conversation is None

    assert proxies(talk(ALICE, BOB))[0] != proxies(ended)[0]


@pytest.mark.parametrize(
    "change", [{"state": NumberState.DRAINING}, {"is_reserved": True}, {"can_sms": False}], ids=str
)
def test_a_number_that_nobody_is_given_any_more_is_not_given_to_them_either(ended, change):
    VirtualNumber.objects.filter(number=proxies(ended)[0]).update(**change)

    assert proxies(talk(ALICE, BOB))[0] != proxies(ended)[0]


def named_for_alice(number, other=BOB):
    people = [ParticipantSpec(number=ALICE, proxy_number=number.number), ParticipantSpec(number=other)]
    return create_conversation(people, ConversationSpec(notify=False))


def test_a_reserved_number_is_theirs_again_if_the_request_names_it_again():
    reserved, *_ = add_numbers(3)
    VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)
    ended = named_for_alice(reserved).close()

    again = named_for_alice(reserved)

    assert proxies(again) == proxies(ended)
    assert [each.chosen_by for each in members(again)] == ["named", "last used"]
    assert counts_are_right()
    again.close()
    with pytest.raises(RequestedNumberTaken):
        named_for_alice(reserved, CHARLIE)


def test_another_number_that_is_named_leaves_them_to_cool_down(ended):
    other = VirtualNumber.objects.exclude(number__in=proxies(ended)).first()

    again = named_for_alice(other)

    assert proxies(again)[0] == other.number
    assert not Participant.objects.filter(conversation=ended, released_at__isnull=False).exists()
    assert counts_are_right()


def test_a_group_has_no_numbers_to_have_again():
    add_numbers(8)
    group = talk(ALICE, BOB, CHARLIE).close()

    assert proxies(talk(ALICE, BOB)) != proxies(group)[:2]
    assert not Participant.objects.filter(conversation=group, released_at__isnull=False).exists()


def test_an_open_conversation_of_theirs_keeps_its_numbers():
    add_numbers(8)
    first = talk(ALICE, BOB)

    second = talk(ALICE, BOB)

    assert not {*zip((ALICE, BOB), proxies(first), strict=True)} & {*zip((ALICE, BOB), proxies(second), strict=True)}
    assert first.is_live()

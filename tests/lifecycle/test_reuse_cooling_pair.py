"""The next conversation of two people reuses the cooling numbers of their last one."""

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
    """Return an ended conversation of Alice and Bob, in a pool with free numbers."""
    add_numbers(8)
    return talk(ALICE, BOB).close()


def counts_are_right():
    live = Count("participants", filter=Q(participants__released_at=None))
    return not VirtualNumber.objects.annotate(counted=live).exclude(counted=F("live_pair_count")).exists()


@pytest.mark.parametrize("people", [(ALICE, BOB), (BOB, ALICE)])
def test_the_same_two_people_reuse_their_cooling_numbers_immediately(ended, people):
    had = dict(zip((ALICE, BOB), proxies(ended), strict=True))

    again = talk(*people)

    assert proxies(again) == [had[person] for person in people]
    assert {each.chosen_by for each in members(again)} == {"last used"}
    assert counts_are_right()
    assert "the same two meet again" in ended.events.first().reason


def test_daily_conversations_of_the_same_two_people_need_one_number():
    add_numbers(1)

    for _ in range(5):
        talk(ALICE, BOB).close()

    assert Participant.objects.unreleased().count() == 2
    with pytest.raises(NoNumberFree):
        talk(ALICE, CHARLIE)


def test_a_late_message_reaches_the_same_person_in_the_new_conversation(ended):
    again = talk(ALICE, BOB)
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(again)[0][1:])
    Client().post("/webhooks/vonage/inbound-sms", params, "application/json")

    assert InboundMessage.objects.get().participant == members(again)[0]
    assert OutboundMessage.objects.get().recipient.number == BOB


def test_the_ended_conversation_cannot_be_reopened_after_its_numbers_are_reused(ended):
    talk(ALICE, BOB)

    with pytest.raises(StaleState):
        ended.reopen()


def test_another_pair_of_people_does_not_reuse_the_cooling_numbers(ended):
    alices = proxies(ended)[0]

    other = talk(ALICE, CHARLIE)

    assert proxies(other)[0] != alices
    assert counts_are_right()
    assert not Participant.objects.filter(conversation=ended, released_at__isnull=False).exists()


def test_avoid_sticky_does_not_reuse_cooling_numbers(ended):
    again = talk(ALICE, BOB, stickiness="avoid-sticky")

    assert not set(zip((ALICE, BOB), proxies(ended), strict=True)) & set(zip((ALICE, BOB), proxies(again), strict=True))


def test_numbers_with_an_unsettled_message_are_not_reused(ended):
    queue(members(ended)[0], "See you tomorrow!")

    again = talk(ALICE, BOB)

    assert proxies(again)[0] != proxies(ended)[0]
    assert proxies(again)[1] != proxies(ended)[1]


def test_numbers_with_an_open_long_message_are_not_reused(ended):
    params = signed_inbound(
        msisdn=BOB[1:],
        to=proxies(ended)[1][1:],
        concat="true",
        concat_ref="7",
        concat_part="1",
        concat_total="2",
    )
    Client().post("/webhooks/vonage/inbound-sms", params, "application/json")
    assert InboundMessage.objects.get().outcome == "part"

    again = talk(ALICE, BOB)

    assert proxies(again)[0] != proxies(ended)[0]
    assert proxies(again)[1] != proxies(ended)[1]


def test_numbers_with_an_unsettled_ended_notice_are_not_reused(ended):
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(ended)[0][1:])
    Client().post("/webhooks/vonage/inbound-sms", params, "application/json")
    assert OutboundMessage.objects.get().kind == "notice"

    assert proxies(talk(ALICE, BOB))[0] != proxies(ended)[0]


@pytest.mark.parametrize(
    "change", [{"state": NumberState.DRAINING}, {"is_reserved": True}, {"can_sms": False}], ids=str
)
def test_a_cooling_number_that_is_out_of_service_is_not_reused(ended, change):
    VirtualNumber.objects.filter(number=proxies(ended)[0]).update(**change)

    assert proxies(talk(ALICE, BOB))[0] != proxies(ended)[0]


def create_with_number_for_alice(number, other=BOB):
    people = [ParticipantSpec(number=ALICE, proxy_number=number.number), ParticipantSpec(number=other)]
    return create_conversation(people, ConversationSpec(notify=False))


def test_a_reserved_cooling_number_is_reused_if_the_request_names_it():
    reserved, *_ = add_numbers(3)
    VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)
    ended = create_with_number_for_alice(reserved).close()

    again = create_with_number_for_alice(reserved)

    assert proxies(again) == proxies(ended)
    assert [each.chosen_by for each in members(again)] == ["named", "last used"]
    assert counts_are_right()
    again.close()
    with pytest.raises(RequestedNumberTaken):
        create_with_number_for_alice(reserved, CHARLIE)


def test_a_request_that_names_another_number_reuses_no_cooling_number(ended):
    other = VirtualNumber.objects.exclude(number__in=proxies(ended)).first()

    again = create_with_number_for_alice(other)

    assert proxies(again)[0] == other.number
    assert not Participant.objects.filter(conversation=ended, released_at__isnull=False).exists()
    assert counts_are_right()


def test_cooling_numbers_of_a_group_are_not_reused_by_two_of_its_members():
    add_numbers(8)
    group = talk(ALICE, BOB, CHARLIE).close()

    assert proxies(talk(ALICE, BOB)) != proxies(group)[:2]
    assert not Participant.objects.filter(conversation=group, released_at__isnull=False).exists()


def test_numbers_of_an_open_conversation_are_not_reused():
    add_numbers(8)
    first = talk(ALICE, BOB)

    second = talk(ALICE, BOB)

    assert not {*zip((ALICE, BOB), proxies(first), strict=True)} & {*zip((ALICE, BOB), proxies(second), strict=True)}
    assert first.is_live()

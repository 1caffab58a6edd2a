"""When somebody has used up every number: a cool-down is cut short, or the creation is refused with all the figures."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

import pytest
from django.db import connection
from django.utils import timezone

from conversations.intake import receive
from conversations.lifecycle import choose_numbers, cut_cool_down
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import NoNumberFree
from conversations.models import (
    Conversation,
    ConversationEvent,
    OutboundMessage,
    OutboundState,
    Participant,
)
from numbers.assignment.policy import ExhaustionPolicy
from numbers.models import NumberEvent, RealNumber, Shortage, VirtualNumber
from smsproxy.carriers.base import InboundText
from tests.support.api_requests import URL, asked_for, chosen_by, counts_are_right, given, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.outbox import later, queue

pytestmark = pytest.mark.django_db


# Strict, or soft ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cooling(db, time_machine):
    """Alice's ended conversations with Bob, Charlie and Dora, the oldest first, on all the numbers that there are."""
    add_numbers(3)
    ended = []
    for other in (BOB, CHARLIE, "+447700900004"):
        ended.append(talk(ALICE, other, reference=other[-1]))
    for conversation in ended:
        conversation.close()
        later(time_machine, 60)
    return ended


def test_strict_is_a_409(create, cooling):
    is_refused(create(ALICE, "+447700900005", on_exhausted="strict"), 409, "no_number_free")

    assert not Participant.objects.exclude(released_at=None).exists()


def test_soft_cuts_the_oldest_cool_down_short_and_records_it_with_both_conversations(create, cooling):
    oldest = cooling[0]

    answers = [create(ALICE, f"+44770090001{index}", on_exhausted="soft") for index in range(3)]

    assert [given(answer)[0] for answer in answers] == [proxies(each)[0] for each in cooling]
    assert {chosen_by(answer)[0] for answer in answers} == {"cut short"}
    alice, bob = members(oldest)
    assert (bool(alice.released_at), bool(bob.released_at)) == (True, False)
    event = oldest.events.first()
    assert (event.old_state, event.new_state) == ("closed", "closed")
    assert "the cool-down of participant 0 was cut short" in event.reason
    assert counts_are_right()
    is_refused(create(ALICE, "+447700900019", on_exhausted="soft"), 409, "no_number_free")


def test_the_oldest_is_the_one_that_ended_first_whatever_its_cool_down_was(create, cooling, settings, time_machine):
    settings.COOL_DOWN_SECONDS -= 3600
    newest = cooling[2].reopen().close()
    assert Participant.objects.cooling().earliest("release_at").conversation == newest

    answer = create(ALICE, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == proxies(cooling[0])[0]


def test_soft_takes_a_free_number_where_there_is_one(create, cooling):
    add_numbers(1, start="+4477009006")

    assert chosen_by(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == "own country"
    assert not ConversationEvent.objects.filter(reason__contains="cut short").exists()


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_a_number_from_which_a_text_is_still_under_way_is_not_taken(create, cooling, state):
    [message] = queue(members(cooling[0])[0], "Are you there?")
    OutboundMessage.objects.filter(pk=message.pk).update(state=state, lease_until=timezone.now())

    answer = create(ALICE, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == proxies(cooling[1])[0]
    OutboundMessage.objects.filter(pk=message.pk).update(state=OutboundState.SENT, lease_until=None)
    assert given(create(ALICE, "+447700900006", on_exhausted="soft"))[0] == proxies(cooling[0])[0]


def test_nor_one_from_which_we_are_about_to_say_that_the_conversation_has_ended(create, cooling, settings):
    """It would reach its reader as if it were said of the new conversation."""
    to = proxies(cooling[0])[0]
    receive.receive(InboundText(carrier_message_id="late", sender=ALICE, recipient=to, text="hello?"))
    assert OutboundMessage.objects.get().text == settings.ENDED_NOTICE

    assert given(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == proxies(cooling[1])[0]


def test_nor_one_that_was_replaced_in_a_conversation_that_goes_on(create):
    """It still reaches that conversation."""
    old, new = add_numbers(2)
    VirtualNumber.objects.filter(pk=new.pk).update(is_reserved=True)
    talk(ALICE, BOB)
    old.refresh_from_db()
    list(replace(old, [new]))
    old.refresh_from_db()
    old.restore(reason="it is well again")

    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something happen once, beside the creation, between the choice of a pair that cools down and its release."""
    release = cut_cool_down.release_early

    def when(happens):
        def work():
            happens()
            connection.close()

        def first_happens(pairs):
            monkeypatch.setattr(choose_numbers, "cut_short", release)
            with ThreadPoolExecutor(1) as beside:
                beside.submit(work).result(60)
            return release(pairs)

        monkeypatch.setattr(choose_numbers, "cut_short", first_happens)

    return when


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_nor_if_that_conversation_is_opened_again_in_the_same_moment(create, meanwhile):
    old, new = add_numbers(2)
    VirtualNumber.objects.filter(pk=new.pk).update(is_reserved=True)
    conversation = talk(ALICE, BOB)
    old.refresh_from_db()
    list(replace(old, [new]))
    old.refresh_from_db()
    old.restore(reason="it is well again")
    conversation.refresh_from_db()
    conversation.close()
    meanwhile(Conversation.objects.get().reopen)

    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")
    assert not Participant.objects.released().exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_nor_one_to_which_a_late_text_has_come_in_the_same_moment(create, cooling, meanwhile):
    late = InboundText(carrier_message_id="late", sender=ALICE, recipient=proxies(cooling[0])[0], text="hello?")
    meanwhile(lambda: receive.receive(late))

    assert given(create(ALICE, "+447700900005", on_exhausted="soft"))[0] == proxies(cooling[1])[0]


def test_what_is_open_is_never_taken(create):
    add_numbers(1)
    talk(ALICE, BOB)

    is_refused(create(ALICE, CHARLIE, on_exhausted="soft"), 409, "no_number_free")


def test_after_that_the_old_conversation_cannot_be_reopened(api, create, cooling):
    create(ALICE, "+447700900005", on_exhausted="soft")

    is_refused(api.post(f"{URL}{cooling[0].public_id}/reopen/"), 409, "numbers_released")
    assert api.post(f"{URL}{cooling[1].public_id}/reopen/").status_code == 200


def test_soft_frees_the_number_that_was_asked_for_and_no_other(create, cooling):
    newest = proxies(cooling[2])[0]

    answer = create({"number": ALICE, "proxy_number": newest}, "+447700900005", on_exhausted="soft")

    assert given(answer)[0] == newest
    assert [each.participants.released().count() for each in cooling] == [0, 0, 1]


def test_a_repeat_of_what_cut_a_cool_down_short_cuts_no_other(api, cooling):
    body, headers = asked_for(ALICE, "+447700900005", on_exhausted="soft"), {"Idempotency-Key": "order-42"}

    answers = [api.post(URL, body, headers=headers).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert Participant.objects.released().count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_sixteen_who_cut_cool_downs_short_at_once_never_share_a_pair():
    add_numbers(4)
    for other in range(4):
        talk(ALICE, f"+44770070000{other}").close()

    def create(worker):
        try:
            with suppress(NoNumberFree):
                return talk(ALICE, f"+4477008000{worker:02}", on_exhausted=ExhaustionPolicy.SOFT)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        made = [each for each in pool.map(create, range(16)) if each]

    assert len(made) == 4
    assert len({proxies(conversation)[0] for conversation in made}) == 4
    assert counts_are_right()


# No number free -------------------------------------------------------------------------------------------------------


def test_the_problem_has_all_the_figures_and_they_are_kept_as_an_event(create):
    add_numbers(2)
    add_numbers(1, "US", start="+1212555010")
    VirtualNumber.objects.filter(country="US").update(is_reserved=True)
    ended, _ = talk(ALICE, BOB), talk(ALICE, BOB)
    ended.close()

    def written():
        return [list(table.objects.order_by("pk").values()) for table in (Conversation, Participant, VirtualNumber)]

    before = written()

    body = is_refused(create(CHARLIE, {"number": ALICE, "label": "Rider"}), 409, "no_number_free")

    release_at = members(ended)[0].release_at
    figures = {"country": "GB", "numbers_eligible": 2, "numbers_in_use": 2, "numbers_needed": 3}
    assert body.items() >= (figures | {"participant": 1}).items()
    assert datetime.fromisoformat(body["next_release_at"]) == release_at
    assert body["detail"].startswith("Participant 1 (Rider): no virtual number is free")
    shortage = Shortage.objects.get()
    assert (shortage.country, shortage.eligible_count, shortage.in_use, shortage.needed) == ("GB", 2, 2, 3)
    assert (shortage.pool, shortage.next_release_at) == (None, release_at)
    assert shortage.real_number.number == ALICE
    assert ALICE[1:] not in shortage.reason
    assert written() == before
    assert not RealNumber.objects.with_number(CHARLIE).exists()
    assert not OutboundMessage.objects.exists()
    assert not NumberEvent.objects.exists()
    assert counts_are_right()


def test_of_somebody_who_is_not_known_yet_the_event_names_nobody(create):
    is_refused(create(), 409, "no_number_free")

    shortage = Shortage.objects.get()
    assert (shortage.real_number, shortage.eligible_count, shortage.in_use, shortage.needed) == (None, 0, 0, 1)


def test_with_nothing_cooling_down_it_is_not_known_when_the_next_number_is_free(create):
    add_numbers(1)
    create()

    assert is_refused(create(), 409, "no_number_free")["next_release_at"] is None

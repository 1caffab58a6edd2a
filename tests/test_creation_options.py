"""What a request may say of how the numbers of its conversation are chosen."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count, permutations
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from conversations import inbound, joining, used_up
from conversations.models import (
    Conversation,
    ConversationEvent,
    OutboundMessage,
    OutboundState,
    Participant,
)
from conversations.replacing import replace
from conversations.sweeps import sweep
from conversations.terms import NoNumberFree
from numbers.models import NumberEvent, NumberState, Pool, RealNumber, Shortage, VirtualNumber
from numbers.policy import UsedUp
from smsproxy.carriers.base import InboundText
from tests.outbox import later, queue
from tests.people import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk

URL = "/api/v1/conversations/"
NEW_YORKER = "+12125550199"

pytestmark = pytest.mark.django_db

_keys = count(1)


def asked_for(*numbers, **fields):
    people = [{"number": each} if isinstance(each, str) else each for each in numbers or (ALICE, BOB)]
    return {"participants": people, "notify": False} | fields


@pytest.fixture
def create(api):
    """create(…): the answer to a request with these people and options."""
    return lambda *numbers, **fields: api.post(URL, asked_for(*numbers, **fields))


def given(answer):
    """The proxy numbers that it gives, in order."""
    assert answer.status_code == 201, answer.content
    return [each["proxy_number"] for each in answer.json()["participants"]]


def chosen_by(answer):
    return [each["chosen_by"] for each in answer.json()["participants"]]


def of_pool(name, how_many, country="GB", *, start):
    pool, _ = Pool.objects.get_or_create(name=name)
    numbers = add_numbers(how_many, country, start=start)
    VirtualNumber.objects.filter(pk__in=[number.pk for number in numbers]).update(pool=pool)
    return [number.number for number in numbers]


def is_refused(answer, status, code):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert code in {body["code"], *(error["code"] for error in body.get("errors", ()))}
    return body


def counts_are_right():
    """Of each number: how many pairs are live."""
    pairs = Counter(Participant.objects.unreleased().values_list("proxy_number", flat=True))
    assert {number.pk: number.live for number in VirtualNumber.objects.filter(live__gt=0)} == dict(pairs)
    return True


# Pools ----------------------------------------------------------------------------------------------------------------


def test_a_conversation_gets_its_numbers_from_the_pool_that_it_names_and_from_no_other(create):
    berlin, common = of_pool("berlin", 2, start="+4477009006"), add_numbers(2)

    in_berlin, in_common = create(pool="berlin"), create()

    assert set(given(in_berlin)) == set(berlin)
    assert set(given(in_common)) == {number.number for number in common}
    assert (in_berlin.json()["pool"], in_common.json()["pool"]) == ("berlin", None)


def test_a_pool_that_is_used_up_borrows_from_no_other(create):
    of_pool("berlin", 1, start="+4477009006")
    add_numbers(5)
    assert create(pool="berlin").status_code == 201

    assert "pool berlin" in is_refused(create(pool="berlin"), 409, "no_number_free")["detail"]
    assert Shortage.objects.get().pool.name == "berlin"


@pytest.mark.parametrize("name", ["nowhere", "", "Berlin", 7, ["berlin"], "x" * 41, "a\x00b", "\ud800"])
def test_a_pool_that_there_is_not_is_a_400_that_names_those_there_are(api, name):
    of_pool("berlin", 2, start="+4477009006")

    answer = api.post(URL, json.dumps(asked_for(pool=name)), content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/pool"
    if name == "nowhere":
        assert "Known are: berlin." in answer.json()["detail"]
    assert not Conversation.objects.exists()


def test_where_there_are_no_pools_yet_the_400_says_so(create):
    answer = create(pool="none")

    assert answer.status_code == 400
    assert "There are no pools yet. Without one, it is the common pool." in answer.json()["detail"]


def test_its_numbers_cool_down_for_as_long_as_the_pool_says(create, settings):
    of_pool("berlin", 2, start="+4477009006")
    Pool.objects.update(cool_down=14 * 24 * 3600)
    create(pool="berlin")

    closed = Conversation.objects.get().close()

    assert closed.closed_at
    cooled_down_at = closed.closed_at + timedelta(days=14)
    assert {participant.release_at for participant in members(closed)} == {cooled_down_at}


# Geography ------------------------------------------------------------------------------------------------------------


def test_a_request_may_insist_on_the_country_or_not_mind_it(create):
    add_numbers(1, "FR", start="+33700000")

    assert chosen_by(create()) == ["other country"] * 2
    assert chosen_by(create(CHARLIE, "+447700900004", geography="any")) == ["any"] * 2
    assert is_refused(create(geography="same-country"), 409, "no_number_free")["country"] == "GB"


def test_near_is_the_area_then_the_state_then_the_country_then_what_a_phone_there_takes(create):
    """To somebody in New York (212), 646 in the same state is nearer than 310 in California."""
    starts = {"own area": "+1212555010", "own region": "+1646555010", "own country": "+1310555010"}
    for start in starts.values():
        add_numbers(1, "US", start=start)
    add_numbers(1, "CA", start="+1416555010")
    add_numbers(1)

    answers = [create(NEW_YORKER, f"+1310555018{index}") for index in range(4)]

    assert [chosen_by(answer)[0] for answer in answers] == [*starts, "other country"]
    assert [given(answer)[0][:5] for answer in answers] == ["+1212", "+1646", "+1310", "+1416"]
    is_refused(create(NEW_YORKER, "+13105550185"), 409, "no_number_free")


# Stickiness -----------------------------------------------------------------------------------------------------------


def end(*conversations):
    """They are over, and their numbers released."""
    for conversation in conversations:
        conversation.close()
    VirtualNumber.objects.take_back(
        Counter(Participant.objects.cooling().values_list("proxy_number", flat=True)),
    )
    Participant.objects.cooling().update(released_at=timezone.now())


def test_the_same_two_people_get_the_same_numbers_again(create):
    add_numbers(6)
    first = given(create())
    end(Conversation.objects.get())

    again = create(BOB, ALICE)

    assert given(again) == first[::-1]
    assert chosen_by(again) == ["last used"] * 2


def test_unless_they_are_to_get_others_and_there_are_others(create):
    add_numbers(4)
    first = given(create())
    end(Conversation.objects.get())

    again = create(stickiness="avoid-sticky")

    assert all(new != old for new, old in zip(given(again), first, strict=True))
    assert "last used" not in chosen_by(again)


def test_where_there_are_no_others_they_get_the_same_all_the_same(create):
    add_numbers(1)
    first = given(create(stickiness="avoid-sticky"))
    end(Conversation.objects.get())

    again = create(stickiness="avoid-sticky")

    assert given(again) == first
    assert chosen_by(again) == ["last used"] * 2


def test_the_settings_say_what_a_request_does_not(create, settings):
    settings.NUMBER_STICKINESS = "avoid-sticky"
    add_numbers(4)
    first = given(create())
    end(Conversation.objects.get())

    assert all(new != old for new, old in zip(given(create()), first, strict=True))
    end(Conversation.objects.first())
    assert chosen_by(create(stickiness="sticky")) == ["last used"] * 2


# Somebody has used up every number ------------------------------------------------------------------------------------


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
    is_refused(create(ALICE, "+447700900005", used_up="strict"), 409, "no_number_free")

    assert not Participant.objects.exclude(released_at=None).exists()


def test_soft_cuts_the_oldest_cool_down_short_and_records_it_with_both_conversations(create, cooling):
    oldest = cooling[0]

    answers = [create(ALICE, f"+44770090001{index}", used_up="soft") for index in range(3)]

    assert [given(answer)[0] for answer in answers] == [proxies(each)[0] for each in cooling]
    assert {chosen_by(answer)[0] for answer in answers} == {"cut short"}
    alice, bob = members(oldest)
    assert (bool(alice.released_at), bool(bob.released_at)) == (True, False)
    event = oldest.events.first()
    assert (event.old_state, event.new_state) == ("closed", "closed")
    assert "the cool-down of participant 0 was cut short" in event.reason
    assert counts_are_right()
    is_refused(create(ALICE, "+447700900019", used_up="soft"), 409, "no_number_free")


def test_the_oldest_is_the_one_that_ended_first_whatever_its_cool_down_was(create, cooling, settings, time_machine):
    settings.COOL_DOWN -= 3600
    newest = cooling[2].reopen().close()
    assert Participant.objects.cooling().earliest("release_at").conversation == newest

    answer = create(ALICE, "+447700900005", used_up="soft")

    assert given(answer)[0] == proxies(cooling[0])[0]


def test_soft_takes_a_free_number_where_there_is_one(create, cooling):
    add_numbers(1, start="+4477009006")

    assert chosen_by(create(ALICE, "+447700900005", used_up="soft"))[0] == "own country"
    assert not ConversationEvent.objects.filter(reason__contains="cut short").exists()


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_a_number_from_which_a_text_is_still_under_way_is_not_taken(create, cooling, state):
    [message] = queue(members(cooling[0])[0], "Are you there?")
    OutboundMessage.objects.filter(pk=message.pk).update(state=state, lease_until=timezone.now())

    answer = create(ALICE, "+447700900005", used_up="soft")

    assert given(answer)[0] == proxies(cooling[1])[0]
    OutboundMessage.objects.filter(pk=message.pk).update(state=OutboundState.SENT, lease_until=None)
    assert given(create(ALICE, "+447700900006", used_up="soft"))[0] == proxies(cooling[0])[0]


def test_nor_one_from_which_we_are_about_to_say_that_the_conversation_has_ended(create, cooling, settings):
    """It would reach its reader as if it were said of the new conversation."""
    to = proxies(cooling[0])[0]
    inbound.receive(InboundText(carrier_message_id="late", sender=ALICE, recipient=to, text="hello?"))
    assert OutboundMessage.objects.get().text == settings.ENDED_NOTICE

    assert given(create(ALICE, "+447700900005", used_up="soft"))[0] == proxies(cooling[1])[0]


def test_nor_one_that_was_replaced_in_a_conversation_that_goes_on(create):
    """It still reaches that conversation."""
    old, new = add_numbers(2)
    VirtualNumber.objects.filter(pk=new.pk).update(is_reserved=True)
    talk(ALICE, BOB)
    old.refresh_from_db()
    list(replace(old, [new]))
    old.refresh_from_db()
    old.restore(reason="it is well again")

    is_refused(create(ALICE, CHARLIE, used_up="soft"), 409, "no_number_free")


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something happen once, beside the creation, between the choice of a pair that cools down and its release."""
    release = used_up.cut_short

    def when(happens):
        def work():
            happens()
            connection.close()

        def first_happens(pairs):
            monkeypatch.setattr(joining, "cut_short", release)
            with ThreadPoolExecutor(1) as beside:
                beside.submit(work).result(10)
            return release(pairs)

        monkeypatch.setattr(joining, "cut_short", first_happens)

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

    is_refused(create(ALICE, CHARLIE, used_up="soft"), 409, "no_number_free")
    assert not Participant.objects.released().exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_nor_one_to_which_a_late_text_has_come_in_the_same_moment(create, cooling, meanwhile):
    late = InboundText(carrier_message_id="late", sender=ALICE, recipient=proxies(cooling[0])[0], text="hello?")
    meanwhile(lambda: inbound.receive(late))

    assert given(create(ALICE, "+447700900005", used_up="soft"))[0] == proxies(cooling[1])[0]


def test_what_is_open_is_never_taken(create):
    add_numbers(1)
    talk(ALICE, BOB)

    is_refused(create(ALICE, CHARLIE, used_up="soft"), 409, "no_number_free")


def test_after_that_the_old_conversation_cannot_be_reopened(api, create, cooling):
    create(ALICE, "+447700900005", used_up="soft")

    is_refused(api.post(f"{URL}{cooling[0].public_id}/reopen/"), 409, "numbers_released")
    assert api.post(f"{URL}{cooling[1].public_id}/reopen/").status_code == 200


# Numbers that are full ------------------------------------------------------------------------------------------------


def test_a_number_has_no_more_live_participants_than_its_cap(create, settings):
    settings.NUMBER_CAP = 3
    add_numbers(2)

    made = [create(f"+4477007{index:05}", f"+4477008{index:05}") for index in range(4)]

    assert [answer.status_code for answer in made] == [201, 201, 201, 409]
    assert set(VirtualNumber.objects.values_list("live", flat=True)) == {3}
    told = is_refused(made[-1], 409, "no_number_free")["detail"]
    assert (
        "0 serve other conversations of theirs, and the others have as many live participants as a number may" in told
    )
    assert counts_are_right()


@pytest.mark.parametrize("named", [False, True])
def test_the_last_place_on_a_number_is_for_one_of_the_two(create, settings, named):
    settings.NUMBER_CAP = 3
    [number] = add_numbers(1)
    create()
    wish = {"proxy_number": number.number} if named else {}

    code = "proxy_number_taken" if named else "no_number_free"
    body = is_refused(create({"number": CHARLIE, **wish}, {"number": "+447700900004", **wish}), 409, code)

    assert body["errors"][0]["pointer"].startswith("/participants/1")
    assert counts_are_right()


def test_the_last_place_on_a_number_is_for_who_names_it_whoever_comes_first(create, settings):
    settings.NUMBER_CAP = 1
    [british] = add_numbers(1)
    [french] = add_numbers(1, "FR", start="+33700000")

    answer = create(ALICE, {"number": BOB, "proxy_number": british.number})

    assert given(answer) == [french.number, british.number]
    assert counts_are_right()


@pytest.mark.parametrize("people", list(permutations([ALICE, NEW_YORKER, "+12125550102"])))
def test_the_last_place_on_a_number_is_for_who_can_have_no_other(create, settings, people):
    """Alice may have any of the three, the others only the two American ones."""
    settings.NUMBER_CAP = 1
    add_numbers(1)
    add_numbers(2, "US", start="+121255502")

    answer = create(*people, geography="any")

    assert sorted(given(answer)) == ["+12125550200", "+12125550201", "+447700900500"]
    assert counts_are_right()


def test_a_pool_has_a_cap_of_its_own(create, settings):
    settings.NUMBER_CAP = 1
    of_pool("berlin", 1, start="+4477009006")
    Pool.objects.update(number_cap=4)

    made = [create(f"+4477007{index:05}", f"+4477008{index:05}", pool="berlin") for index in range(3)]

    assert [answer.status_code for answer in made] == [201, 201, 409]


def test_what_cools_down_counts_until_it_is_released(create, settings, time_machine):
    settings.NUMBER_CAP = 2
    add_numbers(1)
    create()
    Conversation.objects.get().close()
    assert create(CHARLIE, "+447700900004").status_code == 409

    later(time_machine, settings.COOL_DOWN + 1)
    sweep()

    assert create(CHARLIE, "+447700900004").status_code == 201


def test_a_full_number_is_not_given_even_to_who_names_it(create, settings):
    settings.NUMBER_CAP = 2
    [number] = add_numbers(1)
    create()

    answer = create({"number": CHARLIE, "proxy_number": number.number}, "+447700900004")

    assert "that was asked for" in is_refused(answer, 409, "proxy_number_taken")["detail"]
    assert not Shortage.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_sixteen_creators_at_once_never_fill_a_number_beyond_its_cap(settings):
    settings.NUMBER_CAP = 7
    add_numbers(5)

    def create_four(worker):
        try:
            for index in range(4):
                with suppress(NoNumberFree):
                    talk(f"+44770070{worker:02}{index:02}", f"+44770080{worker:02}{index:02}")
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(create_four, range(16)))

    # 5 times 7 places, of which two that cannot be filled by one conversation stay free at most.
    assert set(VirtualNumber.objects.values_list("live", flat=True)) <= {6, 7}
    assert Participant.objects.count() == 34
    assert counts_are_right()


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_sixteen_who_cut_cool_downs_short_at_once_never_share_a_pair():
    add_numbers(4)
    for other in range(4):
        talk(ALICE, f"+44770070000{other}").close()

    def create(worker):
        try:
            with suppress(NoNumberFree):
                return talk(ALICE, f"+4477008000{worker:02}", used_up=UsedUp.SOFT)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        made = [each for each in pool.map(create, range(16)) if each]

    assert len(made) == 4
    assert len({proxies(conversation)[0] for conversation in made}) == 4
    assert counts_are_right()


# Numbers that are named -----------------------------------------------------------------------------------------------


def test_a_reserved_number_is_only_for_who_names_it(create):
    reserved, ordinary = add_numbers(2)
    VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)

    assert given(create()) == [ordinary.number] * 2
    is_refused(create(), 409, "no_number_free")
    named = create({"number": ALICE, "proxy_number": reserved.number}, CHARLIE)
    assert given(named) == [reserved.number, ordinary.number]
    assert chosen_by(named) == ["named", "own country"]


def test_each_may_be_given_the_number_that_is_named_for_them(create):
    numbers = [number.number for number in add_numbers(9)]

    answer = create({"number": ALICE, "proxy_number": numbers[7]}, {"number": BOB, "proxy_number": numbers[8]})

    assert given(answer) == numbers[7:]


def test_a_number_that_they_have_in_another_conversation_is_a_409(create):
    add_numbers(3)
    taken = given(create())[0]

    answer = create({"number": ALICE, "proxy_number": taken}, CHARLIE)

    body = is_refused(answer, 409, "proxy_number_taken")
    assert "that was asked for serves another conversation of theirs" in body["detail"]
    assert body["errors"][0]["pointer"] == "/participants/0/proxy_number"
    # Nothing is missing: others are free.
    assert not Shortage.objects.exists()


def test_soft_frees_the_number_that_was_asked_for_and_no_other(create, cooling):
    newest = proxies(cooling[2])[0]

    answer = create({"number": ALICE, "proxy_number": newest}, "+447700900005", used_up="soft")

    assert given(answer)[0] == newest
    assert [each.participants.released().count() for each in cooling] == [0, 0, 1]


@pytest.mark.parametrize("what", ["unknown", "draining", "of a pool", "without texts"])
def test_a_number_that_is_not_in_service_in_the_pool_is_a_400(create, what):
    add_numbers(2)
    number = "+447700900777"
    if what != "unknown":
        number = add_numbers(1, start="+4477009006")[0].number
        changes: dict[str, dict[str, Any]] = {
            "draining": {"state": NumberState.DRAINING},
            "of a pool": {"pool": Pool.objects.create(name="berlin")},
            "without texts": {"can_sms": False},
        }
        VirtualNumber.objects.filter(number=number).update(**changes[what])

    body = is_refused(create(ALICE, {"number": BOB, "proxy_number": number}), 400, "proxy_number_unknown")

    assert body["errors"][0]["pointer"] == "/participants/1/proxy_number"
    assert not Conversation.objects.exists()


def test_a_number_whose_texts_a_phone_in_the_united_states_does_not_get_is_a_400(create):
    [british] = add_numbers(1)

    answer = create({"number": NEW_YORKER, "proxy_number": british.number}, ALICE)

    is_refused(answer, 400, "proxy_number_unable")


@pytest.mark.parametrize("wrong", ["07700900500", 7, True, ["+447700900500"]])
def test_what_is_not_a_number_is_a_400(create, wrong):
    add_numbers(2)

    answer = create(ALICE, {"number": BOB, "proxy_number": wrong})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/participants/1/proxy_number"


@pytest.mark.parametrize("option", ["geography", "stickiness", "used_up", "late_texts"])
@pytest.mark.parametrize("value", ["perhaps", "", 1, [], {}, True, "\x00", "\ud800", "+447700900001", "x" * 9999])
def test_an_option_has_one_of_its_values(api, option, value):
    answer = api.post(URL, json.dumps(asked_for(**{option: value})), content_type="application/json")

    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert error["pointer"] == f"/{option}"
    assert error["detail"].startswith("Expected one of ")
    # What was there instead is not repeated: it may be a number, or no text at all.
    assert len(answer.content) < 500
    assert b"+447700900001" not in answer.content


@pytest.mark.parametrize("option", ["pool", "geography", "stickiness", "used_up", "late_texts"])
def test_null_is_as_if_it_were_not_said(create, option):
    add_numbers(2)

    assert create(**{option: None}).status_code == 201


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
    figures = {"country": "GB", "numbers_able": 2, "numbers_in_use": 2, "numbers_needed": 3}
    assert body.items() >= (figures | {"participant": 1}).items()
    assert datetime.fromisoformat(body["next_release_at"]) == release_at
    assert body["detail"].startswith("Participant 1 (Rider): no virtual number is free")
    shortage = Shortage.objects.get()
    assert (shortage.country, shortage.able, shortage.in_use, shortage.needed) == ("GB", 2, 2, 3)
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
    assert (shortage.real_number, shortage.able, shortage.in_use, shortage.needed) == (None, 0, 0, 1)


def test_with_nothing_cooling_down_it_is_not_known_when_the_next_number_is_free(create):
    add_numbers(1)
    create()

    assert is_refused(create(), 409, "no_number_free")["next_release_at"] is None


# A repeat -------------------------------------------------------------------------------------------------------------

OPTIONS = {
    "pool": "berlin",
    "geography": "any",
    "stickiness": "avoid-sticky",
    "used_up": "soft",
    "late_texts": "reopen",
}


@pytest.fixture
def repeat(api):
    """repeat(first, second): the answers to two requests under one Idempotency-Key."""
    of_pool("berlin", 4, start="+4477009006")
    of_pool("paris", 4, start="+4477009007")
    add_numbers(4)

    def repeat(first, second):
        headers = {"Idempotency-Key": f"order-{next(_keys)}"}
        return [api.post(URL, body, headers=headers) for body in (first, second)]

    return repeat


def test_a_request_with_every_option_may_be_repeated(repeat):
    body = asked_for({"number": ALICE, "proxy_number": "+447700900601"}, BOB, **OPTIONS)

    first, again = repeat(body, body)

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize(("option", "other"), [("pool", "paris"), ("geography", "prefer"), ("late_texts", "end")])
def test_with_another_option_it_is_a_mix_up(repeat, option, other):
    first, again = repeat(asked_for(**OPTIONS), asked_for(**{**OPTIONS, option: other}))

    assert (first.status_code, again.status_code) == (201, 422)


@pytest.mark.parametrize("option", OPTIONS)
def test_without_one_of_its_options_it_is_a_mix_up(repeat, option):
    less = {name: value for name, value in OPTIONS.items() if name != option}

    first, again = repeat(asked_for(**OPTIONS), asked_for(**less))

    assert (first.status_code, again.status_code) == (201, 422)


def test_another_number_that_is_named_is_a_mix_up(repeat):
    named = [asked_for({"number": ALICE, "proxy_number": f"+44770090050{index}"}, BOB) for index in (0, 1)]

    assert [answer.status_code for answer in repeat(*named)] == [201, 422]


def test_options_that_are_not_used_may_be_left_out_of_a_repeat(repeat):
    unused = dict.fromkeys(OPTIONS)

    first, again = repeat(asked_for(**unused), asked_for({"number": ALICE, "proxy_number": ""}, BOB))

    assert (first.status_code, again.status_code) == (201, 201)


def test_a_repeat_of_what_cut_a_cool_down_short_cuts_no_other(api, cooling):
    body, headers = asked_for(ALICE, "+447700900005", used_up="soft"), {"Idempotency-Key": "order-42"}

    answers = [api.post(URL, body, headers=headers).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert Participant.objects.released().count() == 1

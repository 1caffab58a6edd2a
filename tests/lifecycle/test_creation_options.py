"""The options of a request that control how the numbers of its conversation are chosen."""

import json
from collections import Counter
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from conversations.models import (
    Conversation,
    Participant,
)
from numbers.models import NumberState, Pool, Shortage, VirtualNumber
from tests.support.api_requests import URL, asked_for, chosen_by, given, is_refused, of_pool
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members

NEW_YORKER = "+12125550199"

pytestmark = pytest.mark.django_db

_keys = count(1)


# Pools ----------------------------------------------------------------------------------------------------------------


def test_a_conversation_gets_its_numbers_only_from_the_requested_pool(create):
    berlin, common = of_pool("berlin", 2, start="+4477009006"), add_numbers(2)

    in_berlin, in_common = create(pool="berlin"), create()

    assert set(given(in_berlin)) == set(berlin)
    assert set(given(in_common)) == {number.number for number in common}
    assert (in_berlin.json()["pool"], in_common.json()["pool"]) == ("berlin", None)


def test_an_exhausted_pool_does_not_borrow_numbers_from_another(create):
    of_pool("berlin", 1, start="+4477009006")
    add_numbers(5)
    assert create(pool="berlin").status_code == 201

    is_refused(create(pool="berlin"), 409, "no_number_free")
    assert Shortage.objects.get().pool.name == "berlin"


@pytest.mark.parametrize("name", ["nowhere", "", "Berlin", 7, ["berlin"], "x" * 41, "a\x00b", "\ud800"])
def test_an_unknown_pool_is_a_400_that_lists_the_existing_pools(api, name):
    of_pool("berlin", 2, start="+4477009006")

    answer = api.post(URL, json.dumps(asked_for(pool=name)), content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/pool"
    if name == "nowhere":
        assert "Expected one of the pools berlin (omit it for the common pool)." in answer.json()["detail"]
    assert not Conversation.objects.exists()


def test_the_400_says_so_if_no_pool_exists(create):
    answer = create(pool="none")

    assert answer.status_code == 400
    assert "no pool exists yet (omit it for the common pool)." in answer.json()["detail"]


def test_the_pool_sets_the_cool_down_of_its_numbers(create, settings):
    of_pool("berlin", 2, start="+4477009006")
    Pool.objects.update(cool_down=14 * 24 * 3600)
    create(pool="berlin")

    closed = Conversation.objects.get().close()

    assert closed.closed_at
    cooled_down_at = closed.closed_at + timedelta(days=14)
    assert {participant.release_at for participant in members(closed)} == {cooled_down_at}


# Geography ------------------------------------------------------------------------------------------------------------


def test_a_request_can_require_the_same_country_or_allow_any(create):
    add_numbers(1, "FR", start="+33700000")

    assert chosen_by(create()) == ["other country"] * 2
    assert chosen_by(create(CHARLIE, "+447700900004", geography="any")) == ["any"] * 2
    assert is_refused(create(geography="same-country"), 409, "no_number_free")["country"] == "GB"


def test_numbers_are_preferred_by_area_then_state_then_country_then_any_usable(create):
    """For a phone in New York (212), 646 in the same state is nearer than 310 in California."""
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


def end_and_release(*conversations):
    """Close the conversations and release their numbers."""
    for conversation in conversations:
        conversation.close()
    VirtualNumber.objects.remove_live_pairs(
        Counter(Participant.objects.cooling().values_list("proxy_number", flat=True)),
    )
    Participant.objects.cooling().update(released_at=timezone.now())


def test_the_same_two_people_get_the_same_numbers_again(create):
    add_numbers(6)
    first = given(create())
    end_and_release(Conversation.objects.get())

    again = create(BOB, ALICE)

    assert given(again) == first[::-1]
    assert chosen_by(again) == ["last used"] * 2


def test_avoid_sticky_gives_the_same_two_people_other_numbers(create):
    add_numbers(4)
    first = given(create())
    end_and_release(Conversation.objects.get())

    again = create(stickiness="avoid-sticky")

    assert all(new != old for new, old in zip(given(again), first, strict=True))
    assert "last used" not in chosen_by(again)


def test_avoid_sticky_gives_the_same_numbers_if_no_others_are_free(create):
    add_numbers(1)
    first = given(create(stickiness="avoid-sticky"))
    end_and_release(Conversation.objects.get())

    again = create(stickiness="avoid-sticky")

    assert given(again) == first
    assert chosen_by(again) == ["last used"] * 2


def test_the_settings_apply_where_the_request_gives_no_option(create, settings):
    settings.NUMBER_STICKINESS = "avoid-sticky"
    add_numbers(4)
    first = given(create())
    end_and_release(Conversation.objects.get())

    assert all(new != old for new, old in zip(given(create()), first, strict=True))
    end_and_release(Conversation.objects.first())
    assert chosen_by(create(stickiness="sticky")) == ["last used"] * 2


# Requested numbers ----------------------------------------------------------------------------------------------------


def test_a_reserved_number_is_only_given_to_a_request_that_names_it(create):
    reserved, ordinary = add_numbers(2)
    VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)

    assert given(create()) == [ordinary.number] * 2
    is_refused(create(), 409, "no_number_free")
    named = create({"number": ALICE, "proxy_number": reserved.number}, CHARLIE)
    assert given(named) == [reserved.number, ordinary.number]
    assert chosen_by(named) == ["named", "own country"]


def test_each_participant_can_get_a_requested_number(create):
    numbers = [number.number for number in add_numbers(9)]

    answer = create({"number": ALICE, "proxy_number": numbers[7]}, {"number": BOB, "proxy_number": numbers[8]})

    assert given(answer) == numbers[7:]


def test_a_requested_number_that_serves_another_conversation_of_the_participant_is_a_409(create):
    add_numbers(3)
    taken = given(create())[0]

    answer = create({"number": ALICE, "proxy_number": taken}, CHARLIE)

    body = is_refused(answer, 409, "proxy_number_taken")
    assert "the requested virtual number serves another conversation of this participant" in body["detail"]
    assert body["errors"][0]["pointer"] == "/participants/0/proxy_number"
    # This is not a shortage: other numbers are free.
    assert not Shortage.objects.exists()


@pytest.mark.parametrize("what", ["unknown", "draining", "of a pool", "without texts"])
def test_a_requested_number_that_is_not_in_service_in_the_pool_is_a_400(create, what):
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


def test_a_requested_number_that_cannot_reach_a_phone_in_the_united_states_is_a_400(create):
    [british] = add_numbers(1)

    answer = create({"number": NEW_YORKER, "proxy_number": british.number}, ALICE)

    is_refused(answer, 400, "proxy_number_unable")


@pytest.mark.parametrize("wrong", ["07700900500", 7, True, ["+447700900500"]])
def test_an_invalid_requested_number_is_a_400(create, wrong):
    add_numbers(2)

    answer = create(ALICE, {"number": BOB, "proxy_number": wrong})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/participants/1/proxy_number"


@pytest.mark.parametrize("option", ["geography", "stickiness", "on_exhausted", "late_messages"])
@pytest.mark.parametrize("value", ["perhaps", "", 1, [], {}, True, "\x00", "\ud800", "+447700900001", "x" * 9999])
def test_an_invalid_option_value_is_a_400_that_lists_the_valid_ones(api, option, value):
    answer = api.post(URL, json.dumps(asked_for(**{option: value})), content_type="application/json")

    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert error["pointer"] == f"/{option}"
    assert error["detail"].startswith("Expected one of ")
    # The error does not repeat the invalid value, because it may be a phone number.
    assert len(answer.content) < 500
    assert b"+447700900001" not in answer.content


@pytest.mark.parametrize("option", ["pool", "geography", "stickiness", "on_exhausted", "late_messages"])
def test_a_null_option_is_treated_as_omitted(create, option):
    add_numbers(2)

    assert create(**{option: None}).status_code == 201


# Repeated requests ----------------------------------------------------------------------------------------------------


OPTIONS = {
    "pool": "berlin",
    "geography": "any",
    "stickiness": "avoid-sticky",
    "on_exhausted": "soft",
    "late_messages": "reopen",
}


@pytest.fixture
def repeat(api):
    """Return a function that posts two requests with one Idempotency-Key and returns both responses."""
    of_pool("berlin", 4, start="+4477009006")
    of_pool("paris", 4, start="+4477009007")
    add_numbers(4)

    def repeat(first, second):
        headers = {"Idempotency-Key": f"order-{next(_keys)}"}
        return [api.post(URL, body, headers=headers) for body in (first, second)]

    return repeat


def test_a_request_with_every_option_can_be_repeated(repeat):
    body = asked_for({"number": ALICE, "proxy_number": "+447700900601"}, BOB, **OPTIONS)

    first, again = repeat(body, body)

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize(("option", "other"), [("pool", "paris"), ("geography", "prefer"), ("late_messages", "end")])
def test_a_repeat_with_another_option_value_is_a_422(repeat, option, other):
    first, again = repeat(asked_for(**OPTIONS), asked_for(**{**OPTIONS, option: other}))

    assert (first.status_code, again.status_code) == (201, 422)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_repeat_without_one_of_the_options_is_a_422(repeat, option):
    less = {name: value for name, value in OPTIONS.items() if name != option}

    first, again = repeat(asked_for(**OPTIONS), asked_for(**less))

    assert (first.status_code, again.status_code) == (201, 422)


def test_a_repeat_with_another_requested_number_is_a_422(repeat):
    named = [asked_for({"number": ALICE, "proxy_number": f"+44770090050{index}"}, BOB) for index in (0, 1)]

    assert [answer.status_code for answer in repeat(*named)] == [201, 422]


def test_a_repeat_can_omit_unused_options(repeat):
    unused = dict.fromkeys(OPTIONS)

    first, again = repeat(asked_for(**unused), asked_for({"number": ALICE, "proxy_number": ""}, BOB))

    assert (first.status_code, again.status_code) == (201, 201)

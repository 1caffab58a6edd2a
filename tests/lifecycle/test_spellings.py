"""A conversation takes a person's number in any spelling, and knows the person by each."""

import pytest

from conversations.lifecycle.create import dry_run
from conversations.lifecycle.request import CannotCreate, ConversationSpec, ParticipantSpec
from conversations.models import Conversation
from numbers.models import NumberState, RealNumber, VirtualNumber
from numbers.provisioning.purchase import is_of_a_participant
from smsproxy.carriers.base import LookupResult, LookupVerdict
from tests.support.api_requests import URL, asked_for, given, is_refused
from tests.support.builders import ALICE, BOB, add_number, add_numbers, members, proxies, talk

pytestmark = pytest.mark.django_db

OLD, NEW = "+551161234567", "+5511961234567"


def test_the_same_phone_in_two_spellings_is_the_same_number_twice(api):
    add_numbers(3)

    problem = is_refused(api.post(URL, asked_for(ALICE, OLD, NEW), format="json"), 400, "same_number_twice")

    assert problem["errors"][0]["pointer"] == "/participants/2/number"
    assert "participant 1" in problem["detail"]
    with pytest.raises(CannotCreate):
        dry_run([ParticipantSpec(number=number) for number in (OLD, NEW)], ConversationSpec())


@pytest.mark.parametrize(("ours", "asked"), [(OLD, NEW), (NEW, OLD), ("+525512345678", "+5215512345678")])
def test_a_virtual_number_in_any_spelling_is_refused_as_a_participant(api, ours, asked):
    add_number(ours, NumberState.ACTIVE)

    is_refused(api.post(URL, asked_for(ALICE, asked), format="json"), 400, "virtual_number")


@pytest.mark.parametrize("number", ["+5215512345678", "+22507123456", "+22997123456", "+551161234567", NEW])
def test_either_spelling_is_accepted_and_shown_as_it_was_registered(api, number):
    add_numbers(2)

    answer = api.post(URL, asked_for(number, ALICE, geography="any"), format="json")

    given(answer)
    assert answer.json()["participants"][0]["number"] == number


@pytest.mark.parametrize(("first", "later"), [(OLD, NEW), (NEW, OLD)])
def test_a_person_keeps_the_spelling_of_their_first_conversation(api, first, later):
    add_numbers(4)
    again = talk(first, ALICE, geography="any")

    answer = api.post(URL, asked_for(later, BOB, geography="any"), format="json")

    assert given(answer)[0] != proxies(again)[0]
    assert answer.json()["participants"][0]["number"] == first
    assert RealNumber.objects.count() == 3


def test_the_same_two_meet_again_on_their_numbers_in_another_spelling():
    add_numbers(4)
    first = talk(OLD, ALICE, geography="any")
    first.close()

    assert proxies(talk(NEW, ALICE, geography="any")) == proxies(first)


@pytest.mark.parametrize(("first", "later"), [(OLD, NEW), (NEW, OLD)])
def test_a_retry_in_the_other_spelling_is_the_same_request(api, first, later):
    add_numbers(2)
    answers = [
        api.post(URL, asked_for(number, ALICE, geography="any"), format="json", headers={"Idempotency-Key": "order-42"})
        for number in (first, later)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert Conversation.objects.count() == 1


def test_a_requested_virtual_number_is_found_in_any_spelling(api):
    add_number(NEW, NumberState.ACTIVE)
    add_numbers(1)

    answer = api.post(URL, asked_for({"number": ALICE, "proxy_number": OLD}, BOB, geography="any"), format="json")

    assert given(answer)[0] == NEW


def test_a_lookup_is_not_paid_for_again_in_another_spelling(carrier, settings):
    settings.LOOKUP = "number_insight"
    carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.VALID, country="BR", line_type="mobile")
    add_numbers(4)

    for number in (OLD, NEW):
        talk(number, ALICE, geography="any")

    assert sorted(carrier.looked_up) == sorted([ALICE, OLD])
    assert RealNumber.objects.with_number(NEW).get().line_type == "mobile"


def test_a_person_is_found_by_the_spelling_asked_for():
    rows = RealNumber.objects.get_or_create_many([OLD, NEW, ALICE])

    assert rows[OLD] == rows[NEW] != rows[ALICE]
    assert RealNumber.objects.count() == 2
    assert RealNumber.objects.by_number([NEW, BOB]) == {NEW: rows[OLD]}
    assert RealNumber.objects.with_number(OLD, NEW).get() == rows[NEW]


def test_the_number_of_a_participant_is_never_bought_in_another_spelling():
    add_numbers(2)
    talk(OLD, ALICE, geography="any")

    assert is_of_a_participant(NEW)
    assert not is_of_a_participant(BOB)


def test_a_virtual_number_has_a_hash_however_it_is_stored():
    one = add_number(NEW, NumberState.ACTIVE)
    [other] = add_numbers(1)

    assert VirtualNumber.objects.by_number([OLD, other.number]) == {OLD: one, other.number: other}
    assert members(talk(ALICE, BOB, geography="any"))

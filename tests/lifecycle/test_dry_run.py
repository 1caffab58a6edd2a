"""Which numbers people would get: POST /api/v1/conversations/dry-run/ and manage.py explain_assignment."""

import json

import pytest

from conversations.lifecycle import create
from conversations.lifecycle.choose_numbers import Conflict, choose_numbers
from conversations.management.commands.explain_assignment import WHY
from conversations.models import Conversation, ConversationEvent, OutboundMessage, Participant
from numbers.assignment.choose import Preference
from numbers.models import Pool, RealNumber, Shortage, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk

CREATE = "/api/v1/conversations/"
URL = f"{CREATE}dry-run/"

pytestmark = pytest.mark.django_db


def asked_for(*numbers, **fields):
    return {"participants": [{"number": number} for number in numbers or (ALICE, BOB)]} | fields


@pytest.fixture
def unchanged():
    """Nothing is written in the test."""

    def everything():
        tables = Conversation, Participant, ConversationEvent, OutboundMessage, RealNumber, VirtualNumber, Shortage
        return [list(table.objects.order_by("pk").values()) for table in tables]

    before = []
    yield lambda: before.append(everything())
    assert before == [everything()]


def test_it_says_what_a_creation_then_gives(api):
    add_numbers(1)
    add_numbers(1, "US", start="+1212555010")
    body = asked_for(ALICE, "+12125550199", reference="order-42", ttl=600)
    body["participants"][0]["label"] = "Rider"

    said = api.post(URL, body)
    made = api.post(CREATE, body).json()

    assert said.status_code == 200
    for told, given in zip(said.json()["participants"], made["participants"], strict=True):
        assert told == {name: given[name] for name in told}
    assert [each["chosen_by"] for each in said.json()["participants"]] == ["own country", "own area"]


def test_nothing_is_created_and_no_lookup_is_paid_for(api, settings, carrier, unchanged):
    settings.LOOKUP = "identity_insights"
    add_numbers(2)
    unchanged()

    assert api.post(URL, asked_for()).status_code == 200
    assert carrier.looked_up == []


def test_nor_is_anything_if_no_number_is_free_and_the_problem_is_that_of_a_creation(api, unchanged):
    add_numbers(1)
    talk(ALICE, BOB)
    unchanged()

    answer = api.post(URL, asked_for(CHARLIE, ALICE))

    assert answer.status_code == 409
    assert not Shortage.objects.exists()
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["participant"], body["numbers_eligible"], body["numbers_in_use"], body["numbers_needed"]) == (
        1,
        1,
        1,
        2,
    )


def test_the_same_problem_as_a_creation(api):
    add_numbers(1)
    talk(ALICE, BOB).close()

    other = asked_for(ALICE, CHARLIE)

    assert api.post(URL, other).json() == api.post(CREATE, other).json()


def test_a_cool_down_that_would_be_cut_short_is_not(api, unchanged):
    add_numbers(1)
    talk(ALICE, BOB).close()
    unchanged()

    answer = api.post(URL, asked_for(ALICE, CHARLIE, on_exhausted="soft"))

    assert answer.json()["participants"][0]["chosen_by"] == "cut short"


@pytest.mark.parametrize("wrong", [{}, {"participants": []}, asked_for(ALICE, ALICE), asked_for(pool="nowhere")])
def test_what_is_wrong_is_told_as_of_a_creation(api, wrong):
    add_numbers(2)

    dry, real = api.post(URL, wrong), api.post(CREATE, wrong)

    assert dry.status_code == real.status_code == 400
    assert dry.json() == real.json()


def test_it_needs_a_key(client):
    assert client.post(URL, asked_for(), "application/json").status_code == 401


def test_somebody_who_is_made_known_at_the_same_moment_is_asked_for_again(api, monkeypatch):
    add_numbers(2)
    faster = [True, True]

    def overtaken_twice(*args):
        if faster:
            faster.pop()
            raise Conflict
        return choose_numbers(*args)

    monkeypatch.setattr(create, "choose_numbers", overtaken_twice)

    assert api.post(URL, asked_for()).status_code == 200


def test_if_others_are_always_faster_the_answer_is_a_503(api, monkeypatch):
    def overtaken(*args):
        raise Conflict

    monkeypatch.setattr(create, "choose_numbers", overtaken)

    assert api.post(URL, asked_for()).json()["code"] == "too_many_at_once"


# manage.py explain_assignment -----------------------------------------------------------------------------------------


def test_the_command_says_which_number_and_by_which_preference_in_words(run, unchanged):
    [number] = add_numbers(1)
    unchanged()

    code, told = run("explain_assignment", ALICE, BOB)

    assert code == 0
    words = f"{number.number}    GB  own country: it is from their own country"
    assert told.splitlines() == [f"participant 0  {words}", f"participant 1  {words}"]


def test_every_preference_has_its_words():
    assert set(WHY) == set(Preference)


def test_the_same_for_programs(run):
    add_numbers(2)
    before = talk(ALICE, BOB)
    before.close()
    Participant.objects.update(released_at=before.closed_at)

    code, told = run("explain_assignment", ALICE, BOB, "--json")

    found = json.loads(told)["participants"]
    assert code == 0
    assert [each["proxy_number"] for each in found] == proxies(before)
    assert {each["chosen_by"] for each in found} == {"last used"}


def test_options_are_those_of_a_request(run):
    pool = Pool.objects.create(name="berlin")
    add_numbers(1, "DE", start="+493000000")
    VirtualNumber.objects.update(pool=pool)

    def told(*options):
        return run("explain_assignment", ALICE, CHARLIE, "--pool", "berlin", *options)

    assert "other country: no number of their own country is free" in told()[1]
    assert "any: the policy ignores countries" in told("--geography", "any")[1]
    assert told("--geography", "same-country")[0] == 3
    ended = talk(ALICE, BOB, pool=pool)
    ended.close()
    assert told()[0] == 3
    assert (
        f"the cool-down of this one would be cut short, of conversation {ended.public_id}"
        in told("--on-exhausted", "soft")[1]
    )


def test_a_shortage_is_told_with_all_its_figures_and_is_not_recorded(run):
    add_numbers(1)
    ended = talk(ALICE, BOB)
    ended.close()
    next_release = f"{Participant.objects.first().release_at:%Y-%m-%d}"

    code, told = run("explain_assignment", CHARLIE, ALICE)
    as_json = json.JSONDecoder().raw_decode(run("explain_assignment", CHARLIE, ALICE, "--json")[1])[0]

    assert code == 3
    for figure in ("participant      1", "country          GB", "numbers_eligible 1", "numbers_in_use   1"):
        assert figure in told
    assert "numbers_needed   2" in told
    assert next_release in told
    assert "Participant 1: no virtual number is free" in told
    assert as_json["numbers_needed"] == 2
    assert as_json["code"] == "no_number_free"
    assert not Shortage.objects.exists()


def test_people_may_come_from_standard_input(run):
    add_numbers(2)

    assert run("explain_assignment", "-", "-", types=f"{ALICE}\n{BOB}\n")[0] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        [ALICE],
        [ALICE, "07700900042"],
        [ALICE, "+44 7700900042 1"],
        [ALICE, ALICE],
        [f"+4477009000{index:02}" for index in range(11)],
    ],
)
def test_wrong_usage_ends_with_2_and_repeats_no_number(run, wrong):
    add_numbers(1)

    code, told = run("explain_assignment", *wrong)

    assert code == 2
    assert told
    assert "900042" not in told
    assert "0900001" not in told.replace('such as "+447700900001"', "")


def test_a_pool_that_there_is_not_is_refused_with_those_there_are(run, db):
    Pool.objects.create(name="berlin")

    code, told = run("explain_assignment", ALICE, BOB, "--pool", "paris")

    assert code != 0
    assert "expected one of the pools berlin (omit it for the common pool), found 'paris'" in told
    assert "0900001" not in told

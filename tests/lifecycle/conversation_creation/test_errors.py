"""A request that cannot be met creates nothing, and its error points at the reason."""

import json

import pytest

from conversations.models import Conversation, OutboundMessage, Participant
from numbers.models import RealNumber
from tests.support.api_requests import URL, nothing_exists, people, ride_request
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk


def post(api, body):
    """Post the body as plain ASCII JSON, so that it can contain any Python string."""
    return api.post(URL, json.dumps(body), content_type="application/json")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("07700900001", "not_e164"),
        ("+44", "not_e164"),
        ("+999123456789", "not_e164"),
        ("+4477009000011111111", "not_e164"),
        ("+447700900001 ext. 5", "not_e164"),
        ("hello", "not_e164"),
        ("", "blank"),
        (447700900001, "not_a_string"),
        (None, "null"),
        (True, "not_a_string"),
        (["+447700900001"], "not_a_string"),
        ("+44770\x00900001", "not_e164"),
        ("\ud800", "not_e164"),
        ("+" + "4" * 5000, "not_e164"),
    ],
)
def test_an_invalid_number_is_a_400_that_points_at_its_participant_and_creates_nothing(api, number, code):
    add_numbers(2)

    response = post(api, {"participants": [{"number": ALICE}, {"number": number}]})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    error = response.json()["errors"][0]
    assert error["pointer"] == "/participants/1/number"
    assert error["code"] == code
    assert nothing_exists()
    assert not RealNumber.objects.exists()


def test_a_number_given_twice_is_a_400_that_points_at_the_second_participant(api):
    add_numbers(3)

    response = api.post(URL, {"participants": [{"number": ALICE, "label": "Rider"}, {"number": "+44 7700 900001"}]})

    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "same_number_twice"
    assert response.json()["errors"][0]["pointer"] == "/participants/1/number"
    assert nothing_exists()


def test_one_of_our_virtual_numbers_cannot_be_a_participant(api):
    virtual = add_numbers(3)[0]

    response = api.post(URL, {"participants": people(ALICE, virtual.number)})

    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "virtual_number"
    assert nothing_exists()


def test_a_shortage_is_a_409_that_points_at_its_participant_and_creates_nothing(api):
    add_numbers(1)
    talk(ALICE, BOB)
    before = OutboundMessage.objects.count(), Participant.objects.count()

    response = api.post(URL, ride_request(participants=[{"number": CHARLIE}, {"number": ALICE, "label": "Rider"}]))

    assert response.status_code == 409
    body = response.json()
    assert body["code"] == "no_number_free"
    assert body["detail"].startswith("Participant 1 (Rider)")
    assert body["errors"][0]["pointer"] == "/participants/1"
    assert (OutboundMessage.objects.count(), Participant.objects.count()) == before
    assert Conversation.objects.count() == 1
    assert not RealNumber.objects.with_number(CHARLIE).exists()


def test_the_error_distinguishes_an_unreachable_phone_from_an_exhausted_pool(api):
    nowhere = api.post(URL, ride_request()).json()["detail"]
    add_numbers(1)
    american = api.post(URL, {"participants": people(ALICE, "+12125550101")}).json()["detail"]
    talk(ALICE, BOB)
    on_exhausted = api.post(URL, ride_request()).json()["detail"]

    assert "country GB needs an active number of any country, and the pool has none" in nowhere
    assert "country US needs an active number of US, CA, and the pool has none" in american
    assert "each of the 1 that can text this participant (of any country) serves another conversation" in on_exhausted


def test_the_error_for_a_phone_of_unknown_country_says_so(api):
    add_numbers(1)
    talk(ALICE, BOB)
    RealNumber.objects.update(country="")

    told = api.post(URL, {"participants": people(ALICE, BOB), "geography": "same-country"}).json()["detail"]

    assert "a phone of country unknown needs an active number of its own country, which is unknown" in told


def test_no_error_repeats_a_real_number(api):
    virtual = add_numbers(1)[0]
    talk(ALICE, BOB)

    answers = [
        api.post(URL, {"participants": people(ALICE, BOB)}),
        api.post(URL, {"participants": people(ALICE, ALICE)}),
        api.post(URL, {"participants": people(ALICE, virtual.number)}),
        api.post(URL, {"participants": people("+44770090000", "+44 7700 900001 1 1 1")}),
    ]

    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert "770090000" not in answer.content.decode()


@pytest.mark.parametrize("label", ["x" * 41, "call 07700 900001", 7, None, "a\x00b", "\udfff"])
def test_an_invalid_label_or_one_that_contains_a_phone_number_is_rejected(api, label):
    add_numbers(2)

    response = post(api, {"participants": [{"number": ALICE, "label": label}, {"number": BOB}]})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/participants/0/label"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"ttl": 59}, "/ttl"),
        ({"ttl": "86400"}, "/ttl"),
        ({"ttl": -5}, "/ttl"),
        ({"ttl": "soon"}, "/ttl"),
        ({"ttl": 10**30}, "/ttl"),
        ({"ttl": True}, "/ttl"),
        ({"reference": "x" * 101}, "/reference"),
        ({"reference": 42}, "/reference"),
        ({"notify": "perhaps"}, "/notify"),
        ({"participants": []}, "/participants"),
        ({"participants": "Alice and Bob"}, "/participants"),
        ({"participants": [ALICE, BOB]}, "/participants/0"),
        ({"participants": [{"number": ALICE}]}, "/participants"),
        ({"participants": [{}, {}]}, "/participants/0/number"),
        ({"tll": 60}, "/tll"),
    ],
)
def test_every_invalid_field_is_a_400_that_points_at_it(api, changes, pointer):
    add_numbers(2)

    response = api.post(URL, ride_request(**changes))

    assert response.status_code == 400
    assert pointer in [error["pointer"] for error in response.json()["errors"]]
    assert nothing_exists()

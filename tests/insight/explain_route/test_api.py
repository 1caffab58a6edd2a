"""GET /api/v1/routes/explain/ returns the route, and no real number."""

import json

import pytest

from tests.support.builders import ALICE, STRANGER
from tests.support.explanations import has_no_real_number

pytestmark = pytest.mark.django_db

URL = "/api/v1/routes/explain/"


def ask(api, sender, to, **query):
    return api.get(URL, {"to": to, **query}, headers={"From-Number": sender})


def test_the_api_returns_the_json_of_the_command(api, run, to):
    for sender in (ALICE, STRANGER):
        answer = ask(api, sender, to)

        assert answer.status_code == 200
        printed = run("explain_route", sender, to, "--json")[1]
        assert answer.json() == json.JSONDecoder().raw_decode(printed)[0]
        assert answer["Cache-Control"] == "no-store"
        assert has_no_real_number(answer.content.decode())


def test_the_api_response_has_the_documented_fields(api, to):
    found = ask(api, ALICE, to).json()

    assert found["outcome"] == "relayed"
    assert found["virtual_number"] == {"number": to, "status": "active", "pool": None}
    assert found["conversation"]["reference"] == "order-42"
    assert found["author"] == {"position": 0, "label": "Alice", "proxy_number": to}
    assert [each["label"] for each in found["recipients"]] == ["Bob"]


@pytest.mark.parametrize("name", ["from", "number", "From-Number", "msisdn", "x", ALICE])
def test_a_real_number_in_the_url_is_rejected_and_not_quoted(api, to, name):
    answer = ask(api, ALICE, to, **{name: ALICE})

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    shown = "[number]" if name == ALICE else name
    assert [(each["parameter"], each["code"]) for each in answer.json()["errors"]] == [(shown, "unknown_parameter")]
    assert "From-Number" in answer.json()["detail"]
    assert has_no_real_number(answer.content.decode())


@pytest.mark.parametrize(
    ("headers", "query", "place", "code"),
    [
        ({}, "to=%2B447700900500", {"header": "From-Number"}, "required"),
        ({"From-Number": "07700900042"}, "to=%2B447700900500", {"header": "From-Number"}, "not_e164"),
        ({"From-Number": ALICE}, "", {"parameter": "to"}, "required"),
        ({"From-Number": ALICE}, "to=+447700900042", {"parameter": "to"}, "not_e164"),
        ({"From-Number": ALICE}, "to=%00", {"parameter": "to"}, "not_e164"),
    ],
)
def test_an_invalid_request_is_a_400_that_says_what_is_wrong_and_where(api, headers, query, place, code):
    answer = api.get(f"{URL}?{query}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    (error,) = answer.json()["errors"]
    assert {name: error[name] for name in place} == place
    assert error["code"] == code
    assert "900042" not in answer.content.decode()


def test_a_real_number_in_place_of_the_virtual_one_is_not_quoted(api, to):
    answer = ask(api, to, ALICE)

    assert answer.json()["virtual_number"] is None
    assert has_no_real_number(answer.content.decode())


def test_the_api_requires_a_key(client, to):
    answer = client.get(URL, {"to": to}, headers={"From-Number": ALICE})

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"

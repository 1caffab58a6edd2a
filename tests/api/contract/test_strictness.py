"""Nothing is ignored and nothing is converted: what an endpoint does not know is a 400 that says where and why."""

import json
from datetime import UTC, datetime

import pytest
from rest_framework import serializers

from conversations.models import Conversation
from smsproxy.api.fields import DateTimeField, IntegerParameter, Parameters, StrictSerializer
from smsproxy.api.views import ApiView
from tests.support.api_requests import URL, is_refused, ride_request
from tests.support.builders import ALICE, add_numbers
from tests.support.endpoints import World
from tests.support.operations import operations

pytestmark = pytest.mark.django_db

ALL = operations()
EACH = pytest.mark.parametrize("declared", ALL, ids=str)


@pytest.fixture
def world(db):
    return World()


def errors(answer):
    """Return the place and the code of each error."""
    problem = is_refused(answer, 400, "invalid")
    return [
        (*({name: each[name]} for name in ("pointer", "parameter", "header") if name in each), each["code"])
        for each in problem["errors"]
    ]


def request(world, declared, body=None, query=""):
    return world.client(world.service).generic(
        declared.method,
        f"{declared.address(world)}{query}",
        b"" if body is None else json.dumps(body),
        content_type="application/json",
    )


@EACH
def test_every_operation_is_declared(declared):
    assert issubclass(declared.view, ApiView)
    assert declared.operation is not None


def test_each_operation_has_its_own_id():
    ids = [declared.operation.id for declared in ALL]

    assert sorted(ids) == sorted(set(ids))


@EACH
def test_an_unknown_query_parameter_is_rejected_everywhere(world, declared):
    found = errors(request(world, declared, query="?no_such_parameter=1"))

    assert ({"parameter": "no_such_parameter"}, "unknown_parameter") in found


@EACH
def test_a_body_with_an_unknown_field_is_rejected_everywhere(world, declared):
    found = errors(request(world, declared, body={"no_such_field": 1}, query=required(declared)))

    expected = ({"pointer": ""}, "unexpected_body") if declared.method == "GET" else UNKNOWN_FIELD
    assert expected in found


UNKNOWN_FIELD = ({"pointer": "/no_such_field"}, "unknown_field")


def required(declared):
    """Return the query that the operation cannot do without."""
    parameters = declared.operation.parameters
    names = [name for name, field in parameters().fields.items() if field.required] if parameters else []
    return "?" + "&".join(f"{name}=%2B447700900100" for name in names)


@pytest.mark.parametrize("declared", [each for each in ALL if each.method != "GET"], ids=str)
def test_a_body_that_is_no_object_is_rejected_everywhere(world, declared):
    assert errors(request(world, declared, body=[1])) == [({"pointer": ""}, "not_an_object")]


@EACH
def test_no_operation_has_an_undocumented_options(world, declared):
    answer = world.client(world.service).options(declared.address(world))

    is_refused(answer, 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"ttl": "60"}, "/ttl", "not_an_integer"),
        ({"ttl": 60.0}, "/ttl", "not_an_integer"),
        ({"ttl": True}, "/ttl", "not_an_integer"),
        ({"ttl": 1}, "/ttl", "min_value"),
        ({"ttl": 10**12}, "/ttl", "max_value"),
        ({"notify": "true"}, "/notify", "not_a_boolean"),
        ({"notify": 1}, "/notify", "not_a_boolean"),
        ({"notify": None}, "/notify", "null"),
        ({"reference": 42}, "/reference", "not_a_string"),
        ({"reference": "x" * 101}, "/reference", "max_length"),
        ({"reference": "a\x00b"}, "/reference", "control_character"),
        ({"geography": "everywhere"}, "/geography", "invalid_choice"),
        ({"geography": 1}, "/geography", "invalid_choice"),
        ({"pool": "no-such-pool"}, "/pool", "no_pool"),
        ({"participants": {"number": ALICE}}, "/participants", "not_a_list"),
        ({"participants": "both"}, "/participants", "not_a_list"),
        ({"participants": [{"number": ALICE}]}, "/participants", "min_length"),
        ({"participants": [{"number": ALICE}, {}]}, "/participants/1/number", "required"),
        ({"participants": [{"number": ALICE}, {"number": ""}]}, "/participants/1/number", "blank"),
        ({"participants": [{"number": ALICE}, "Bob"]}, "/participants/1", "not_an_object"),
        ({"participants": [{"number": ALICE}, {"number": "07700900001"}]}, "/participants/1/number", "not_e164"),
    ],
)
def test_each_wrong_field_has_its_pointer_and_a_code_of_its_own(api, changes, pointer, code):
    assert errors(api.post(URL, ride_request(**changes))) == [({"pointer": pointer}, code)]
    assert not Conversation.objects.exists()


def test_unknown_and_wrong_fields_are_named_together(api):
    found = errors(api.post(URL, ride_request(tll=60, ttl="60")))

    assert found == [({"pointer": "/tll"}, "unknown_field"), ({"pointer": "/ttl"}, "not_an_integer")]


@pytest.mark.parametrize(
    ("query", "name", "code"),
    [
        ("page_size=0", "page_size", "min_value"),
        ("page_size=201", "page_size", "max_value"),
        ("page_size=-1", "page_size", "min_value"),
        ("page_size=ten", "page_size", "not_an_integer"),
        ("page_size=1.0", "page_size", "not_an_integer"),
        ("page_size=", "page_size", "not_an_integer"),
        ("page_size=%D9%A1", "page_size", "not_an_integer"),
        ("status=", "status", "invalid_choice"),
        ("status=open&status=closed", "status", "repeated"),
        ("reference=", "reference", "blank"),
        ("cursor=", "cursor", "blank"),
    ],
)
def test_each_wrong_parameter_is_named_and_has_a_code_of_its_own(api, query, name, code):
    assert errors(api.get(f"{URL}?{query}")) == [({"parameter": name}, code)]


@pytest.mark.parametrize("cursor", ["zzz", "zzzz", "cD1h", "cD0xMg", "cD0xMg==%20", "bz0xMA==", "eA==", "%00"])
def test_a_text_that_is_no_cursor_of_ours_is_rejected(api, cursor):
    problem = is_refused(api.get(f"{URL}?cursor={cursor}"), 400, "invalid" if cursor == "%00" else "cursor_invalid")

    assert problem["errors"][0]["parameter"] == "cursor"


def test_a_cursor_that_an_answer_gave_is_accepted_in_both_directions(api):
    add_numbers(6)
    for index in range(3):
        assert api.post(URL, ride_request(reference=f"order-{index}")).status_code == 201

    first = api.get(URL, {"page_size": 2}).json()
    second = api.get(first["next"]).json()
    back = api.get(second["previous"]).json()

    assert [len(page["results"]) for page in (first, second, back)] == [2, 1, 2]
    assert back["results"] == first["results"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"reference": "x" * 101}, "Expected at most 100 characters."),
        ({"participants": [{"number": ALICE}]}, "Expected a list of at least 2."),
        ({"idle_ttl": 1}, "Expected at least 60."),
    ],
)
def test_an_error_says_what_was_expected(api, body, detail):
    problem = is_refused(api.post(URL, ride_request() | body), 400, "invalid")

    assert [each["detail"] for each in problem["errors"]] == [detail]


@pytest.mark.parametrize(("page_size", "detail"), [(0, "Expected at least 1."), (201, "Expected at most 200.")])
def test_a_page_size_out_of_range_says_what_was_expected(api, page_size, detail):
    problem = is_refused(api.get(URL, {"page_size": page_size}), 400, "invalid")

    assert [each["detail"] for each in problem["errors"]] == [detail]


class Asked(StrictSerializer):
    at = DateTimeField()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-11-28T22:00:00Z", datetime(2026, 11, 28, 22, tzinfo=UTC)),
        ("2026-11-28T23:00:00.5+01:00", datetime(2026, 11, 28, 22, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-28t22:00z", datetime(2026, 11, 28, 22, tzinfo=UTC)),
    ],
)
def test_a_time_with_an_offset_is_read_as_utc(given, expected):
    asked = Asked(data={"at": given})

    assert asked.is_valid()
    assert asked.validated_data == {"at": expected}


@pytest.mark.parametrize(
    "given",
    [
        *(
            "2026-11-28T22:00:00",
            "2026-11-28",
            "2026-02-30T00:00:00Z",
            "2026-11-28T25:00:00Z",
            "0001-01-01T00:00+10:00",
        ),
        *(1795903200, None, True, "", "now", "2026-W48-6T22:00:00Z", "2026-11-28T22:00:00 01:00"),
    ],
)
def test_a_time_without_an_offset_or_of_another_form_is_rejected(given):
    asked = Asked(data={"at": given})

    assert not asked.is_valid()
    assert asked.errors["at"][0].code == ("null" if given is None else "not_a_time")


def test_a_long_number_in_a_query_is_rejected_without_being_read():
    class Query(Parameters):
        page_size = IntegerParameter()

    with pytest.raises(serializers.ValidationError) as caught:
        Query(data={"page_size": "9" * 5000}).is_valid(raise_exception=True)

    assert caught.value.get_codes() == {"page_size": ["not_an_integer"]}


def test_an_unknown_parameter_that_holds_a_phone_number_is_not_repeated(api):
    answer = api.get(URL, {ALICE: "1"})

    assert errors(answer) == [({"parameter": "[number]"}, "unknown_parameter")]
    assert ALICE[1:] not in answer.content.decode()

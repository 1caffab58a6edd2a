"""Rules of the whole API: keys, problem responses, lists, and invalid input."""

import base64
import json
import uuid
from datetime import timedelta
from io import BytesIO
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from conversations.admin.conversations import ConversationAdmin
from conversations.api import creation as creation_api
from conversations.api import requests
from conversations.models import Conversation, ConversationEvent
from smsproxy.api.models import ApiKey
from smsproxy.wsgi import with_chunked_bodies
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.hypothesis_profiles import examples

URL = "/api/v1/conversations/"
EVERY_ENDPOINT = pytest.mark.parametrize(
    ("method", "url"),
    [
        ("get", URL),
        ("post", URL),
        ("get", f"{URL}6700e7f1-9cc9-4416-acb0-660068ecc461/"),
        ("post", f"{URL}14b7d290-1340-43b9-a6b3-2bfb8a804f74/close/"),
    ],
)

pytestmark = pytest.mark.django_db


def is_problem(response, status):
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["status"] == status
    assert body["type"].endswith(f"/api/v1/problems/{body['code']}/")
    assert body["request_id"] == response["X-Request-ID"]
    assert body["title"]
    assert body["detail"]
    return body


@EVERY_ENDPOINT
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer sp__",
        "Bearer sp_00000000_wrong",
        "Bearer sp_\x00_x",
        "Basic YWRtaW46YWRtaW4=",
        "Bearer " + "x" * 10_000,
        "Bearer sp_é_ü",
    ],
)
def test_a_request_without_a_valid_key_is_a_401_problem(method, url, header):
    client = APIClient()
    if header is not None:
        client.credentials(HTTP_AUTHORIZATION=header)

    response = getattr(client, method)(url)

    body = is_problem(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"
    assert "key" in body["detail"] or "credentials" in body["detail"]


def test_a_revoked_key_or_a_wrong_secret_is_rejected():
    row, key = ApiKey.objects.issue("rides-backend")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key[:-1]}{'A' if key[-1] != 'A' else 'B'}")
    is_problem(client.get(URL), 401)

    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    assert client.get(URL).status_code == 200
    row.revoke()
    is_problem(client.get(URL), 401)


def test_create_api_key_prints_the_key_once_and_stores_only_its_hash(capsys):
    call_command("create_api_key", "rides-backend")

    key = capsys.readouterr().out.strip()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    assert client.get(URL).status_code == 200
    secret = key.split("_", 2)[2]
    assert secret not in str(list(ApiKey.objects.values()))


def test_a_second_key_of_the_same_name_is_rejected(capsys):
    call_command("create_api_key", "rides-backend")

    with pytest.raises(BaseException, match="A key of this name exists"):
        call_command("create_api_key", "rides-backend")


def test_the_list_is_newest_first_and_filters_by_reference_and_status(api):
    add_numbers(6)
    first = talk(ALICE, BOB, reference="order-1")
    second = talk(ALICE, CHARLIE, reference="order-2")
    first.close()

    def ids(**query):
        return [each["id"] for each in api.get(URL, query).json()["results"]]

    assert ids() == [str(second.public_id), str(first.public_id)]
    assert ids(reference="order-1") == [str(first.public_id)]
    assert ids(status="open") == [str(second.public_id)]
    assert ids(status="closed") == [str(first.public_id)]


def test_an_unknown_filter_is_rejected(api):
    """An ignored filter would return conversations that the caller did not request."""
    problem = is_problem(api.get(URL, {"city": "berlin"}), 400)

    assert "cursor, page_size, reference, status" in problem["errors"][0]["detail"]


def test_reopening_with_options_is_rejected(api):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.close()

    problem = is_problem(api.post(f"{URL}{conversation.public_id}/reopen/", {"permanent": True}), 400)

    assert "Known fields: ttl, expires_at." in problem["errors"][0]["detail"]

    conversation.refresh_from_db()
    assert conversation.state == "closed"


def test_the_list_is_paginated(api):
    add_numbers(8)
    for index in range(5):
        talk(ALICE, f"+4477007{index:05}")

    page = api.get(URL, {"page_size": 2}).json()
    seen = [each["id"] for each in page["results"]]
    while page["next"]:
        page = api.get(page["next"]).json()
        seen += [each["id"] for each in page["results"]]

    assert len(seen) == len(set(seen)) == 5


def test_a_list_of_any_length_takes_a_fixed_number_of_queries(api, django_assert_num_queries):
    add_numbers(8)
    for index in range(6):
        talk(ALICE, f"+4477007{index:05}")

    with django_assert_num_queries(8):
        api.get(URL)


@pytest.mark.parametrize("position", ["abc", "", "1.5", "\x00", "2026-01-01", "-1", "9" * 19, "١٢"])
def test_an_invalid_cursor_is_a_400(api, position):
    add_numbers(2)
    talk(ALICE, BOB)

    cursor = base64.b64encode(urlencode({"p": position}).encode()).decode()

    problem = is_problem(api.get(URL, {"cursor": cursor}), 400)
    assert problem["code"] == "cursor_invalid"


@pytest.mark.parametrize(
    "query", ["reference=%00", "status=perhaps", "cursor=%ff", "cursor=zzz", "page_size=x", "reference=" + "x" * 200]
)
def test_an_invalid_query_is_a_400(api, query):
    assert api.get(f"{URL}?{query}").status_code == 400


def test_closing_is_idempotent_and_records_the_actor(api):
    add_numbers(2)
    conversation = talk(ALICE, BOB)

    first = api.post(f"{URL}{conversation.public_id}/close/")
    again = api.post(f"{URL}{conversation.public_id}/close/")

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["status"] == "closed"
    assert first.json()["closed_reason"] == "closed"
    events = ConversationEvent.objects.filter(conversation=conversation, new_state="closed")
    assert [event.actor for event in events] == ["API key rides-backend"]


def test_an_expired_conversation_shows_as_closed_at_once(api, time_machine):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=60)
    time_machine.move_to(timezone.now() + timedelta(seconds=61))

    assert api.get(f"{URL}{conversation.public_id}/").json()["status"] == "closed"


def test_a_conversation_that_does_not_exist_is_a_404(api):
    is_problem(api.get(f"{URL}{uuid.uuid4()}/"), 404)
    is_problem(api.post(f"{URL}{uuid.uuid4()}/close/"), 404)


@pytest.mark.parametrize(
    "url", ["/api/", "/api/v1/", "/api/v2/conversations/", f"{URL}42/", "/api/%00", "/api/v1/%ff/", URL[:-1]]
)
def test_an_unknown_address_is_a_404_problem(api, url):
    is_problem(api.get(url), 404)


def test_a_post_without_the_trailing_slash_is_a_404_that_says_so(api):
    assert "end with a slash" in is_problem(api.post(URL[:-1], {}), 404)["detail"]


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_an_unsupported_method_is_a_405_problem_with_an_allow_header(api, method):
    response = getattr(api, method)(URL)

    assert "header Allow" in is_problem(response, 405)["detail"]
    assert "POST" in response["Allow"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b"NaN", 400),
        (b'{"ttl":1e999}', 400),
        (b'{"ttl":' + b"9" * 10_000 + b"}", 400),
        (b"[" * 50_000, 400),
        (b'{"a":' * 50_000, 400),
        (b"\xff\xfe", 400),
        (b'{"participants":[],"participants":[]}', 400),
        (b'{"\\ud800":1}', 400),
        (b'{"participants":"' + b"x" * 10_000_000 + b'"}', 413),
    ],
)
def test_a_broken_body_is_a_4xx_problem_that_does_not_quote_it(api, body, status):
    response = api.post(URL, body, content_type="application/json")

    is_problem(response, status)
    assert len(response.content) < 2000
    assert not Conversation.objects.exists()


def test_a_truncated_body_is_a_400_problem(api):
    response = api.generic("POST", URL, b'{"ttl": 60}', "application/json", **{"wsgi.input": BytesIO(b'{"ttl"')})

    assert is_problem(response, 400)["code"] == "unreadable_body"


@pytest.mark.parametrize("sent", [b'{"a":1}', b'{"a":'])
def test_a_chunked_body_gets_a_content_length(sent):
    seen = {}
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": BytesIO(sent)}

    with_chunked_bodies(lambda environ, start_response: seen.update(environ) or [])(environ, lambda *args: None)

    assert seen["CONTENT_LENGTH"] == str(len(sent))
    assert seen["wsgi.input"].read() == sent


def test_a_chunked_body_is_read_to_one_byte_past_the_limit(settings):
    seen = {}
    body = BytesIO(b"x" * 10_000_000)
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": body}

    with_chunked_bodies(lambda environ, start_response: seen.update(environ) or [])(environ, lambda *args: None)

    assert body.tell() == int(seen["CONTENT_LENGTH"]) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1


@pytest.mark.parametrize(
    "body",
    [
        {"participants": [{}] * 80_000},
        {"participants": [{"x": 1}] * 10},
        {"participants": [{str(index): 1 for index in range(50)}] * 10},
        {"participants": [], **{f"field{index}": 1 for index in range(10_000)}},
    ],
)
def test_a_problem_lists_a_bounded_number_of_errors(api, body):
    answer = api.post(URL, body)

    assert len(is_problem(answer, 400)["errors"]) <= 20
    assert len(answer.content) < 5000


def test_a_list_that_is_too_long_is_rejected_before_its_elements_are_checked(api, monkeypatch):
    monkeypatch.setattr(requests.PersonSerializer, "to_internal_value", lambda *args: 1 / 0)

    problem = is_problem(api.post(URL, {"participants": [{}] * 11}), 400)

    assert problem["errors"] == [
        {
            "pointer": "/participants",
            "code": "max_length",
            "detail": "Expected a list of at most 10.",
        }
    ]


def test_a_number_with_a_trailing_control_character_is_rejected(api):
    answer = api.post(URL, {"participants": [{"number": f"{ALICE}\n"}, {"number": BOB}]})

    assert is_problem(answer, 400)["errors"][0]["code"] == "not_e164"


def test_a_form_is_a_415_problem(api):
    is_problem(api.post(URL, "a=b", content_type="application/x-www-form-urlencoded"), 415)


def test_an_unknown_host_is_a_400_problem(api):
    assert "ALLOWED_HOSTS" not in is_problem(api.get(URL, HTTP_HOST="evil.example"), 400)["detail"]


def test_the_api_answers_503_without_the_database(api, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("connection to +447700900001 refused")

    monkeypatch.setattr(creation_api, "create_conversation", fail)

    response = api.post(URL, {"participants": [{"number": ALICE}, {"number": BOB}]})

    assert "447700900001" not in json.dumps(is_problem(response, 503))


def test_other_pages_answer_503_without_the_database(admin_client, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("connection to +447700900001 refused")

    monkeypatch.setattr(ConversationAdmin, "get_queryset", fail)
    admin_client.raise_request_exception = False

    response = admin_client.get("/admin/conversations/conversation/")

    assert response.status_code == 503
    assert response["Retry-After"]
    assert b"447700900001" not in response.content


def test_a_bug_is_a_500_problem_without_details(api, monkeypatch):
    monkeypatch.setattr(creation_api, "create_conversation", lambda *args, **kwargs: 1 / 0)
    api.raise_request_exception = False

    response = api.post(URL, {"participants": [{"number": ALICE}, {"number": BOB}]})

    assert "division" not in json.dumps(is_problem(response, 500))


def test_pages_outside_the_api_have_html_errors():
    assert Client().get("/no-such-page")["Content-Type"].startswith("text/html")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(["participants", "reference", "ttl", "notify", "number", "label"])


@examples(fast=20, thorough=80)
@given(body=_JSON | st.dictionaries(_KEYS, _JSON | st.lists(st.dictionaries(_KEYS, _JSON, max_size=3), max_size=3)))
def test_arbitrary_json_is_a_400_and_creates_no_conversation(api, body):
    response = api.post(URL, json.dumps(body), content_type="application/json")

    assert response.status_code == 400
    assert not Conversation.objects.exists()

"""Every endpoint of the API, with every kind of key. New ones are found by themselves: see support/endpoints.py."""

import pytest
from rest_framework.test import APIClient

from smsproxy.api.models import ApiKey
from smsproxy.api.scopes import Scope
from tests.support.api_requests import is_refused
from tests.support.endpoints import SAMPLES, WITHOUT_KEY, Others, World, client_with, endpoints, everything, rows_of

pytestmark = pytest.mark.django_db

ALL = endpoints()
each_endpoint = pytest.mark.parametrize("endpoint", [each for each in ALL if each.name not in WITHOUT_KEY], ids=str)


@pytest.fixture
def world(db):
    return World()


def revoked(world):
    key, text = ApiKey.objects.issue("revoked", service=world.service, scopes="read write numbers")
    key.revoke()
    return text


def expired(world):
    key, text = ApiKey.objects.issue("expired", service=world.service, scopes="read write numbers")
    ApiKey.objects.filter(pk=key.pk).update(expires_at=key.created_at)
    return text


def wrong(world):
    _, text = ApiKey.objects.issue("wrong", service=world.service, scopes="read write numbers")
    return text[:-1] + ("A" if text[-1] != "A" else "B")


def is_changed_by(endpoint, client, world):
    """Send the sample request. Return the answer, and whether any row changed."""
    endpoint.sample.path(world), endpoint.sample.query(world)  # Now, the rows that it is about exist.
    before = everything()
    answer = endpoint.request(client, world)
    return answer, everything() != before


def test_the_api_has_endpoints_and_every_sample_is_of_one():
    assert len(ALL) > 20
    assert set(SAMPLES) <= {(each.name, each.method) for each in ALL}


@each_endpoint
@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "authentication_failed"),
        (wrong, "authentication_failed"),
        (revoked, "key_revoked"),
        (expired, "key_expired"),
    ],
)
def test_without_a_valid_key_an_endpoint_answers_401_and_does_nothing(endpoint, world, key, code):
    client = client_with(key(world)) if key else APIClient()

    answer, is_changed = is_changed_by(endpoint, client, world)

    is_refused(answer, 401, code)
    assert answer["WWW-Authenticate"] == "Bearer"
    assert not is_changed


@each_endpoint
@pytest.mark.parametrize("scope", Scope)
def test_a_key_with_one_scope_may_do_what_needs_this_scope_and_nothing_more(endpoint, world, scope):
    answer, is_changed = is_changed_by(endpoint, world.client(world.service, scope), world)

    if scope == endpoint.sample.scope:
        assert answer.status_code == endpoint.sample.status, answer.content
        return
    detail = is_refused(answer, 403, "scope_missing")["detail"]
    assert f"the scope «{endpoint.sample.scope}»" in detail
    assert f"has «{scope}»" in detail
    assert not is_changed


@each_endpoint
def test_a_key_sees_and_changes_nothing_of_another_service(endpoint, world):
    ids = [str(world.conversation.public_id), str(world.closed.public_id), world.message, world.block]
    before = rows_of(world.service)

    answer, is_changed = is_changed_by(endpoint, world.client(world.other), world)

    if endpoint.sample.others == Others.NOT_FOUND:
        is_refused(answer, 404, "not_found")
        assert not is_changed
    else:
        assert answer.status_code == endpoint.sample.status, answer.content
        assert not any(each in answer.content.decode() for each in ids)
    if endpoint.sample.others == Others.EMPTY:
        assert answer.json()["results"] == []
    assert rows_of(world.service) == before


@each_endpoint
def test_each_answer_of_a_valid_key_has_the_state_of_its_rate(endpoint, world):
    answer = endpoint.request(world.client(world.service, Scope.NUMBERS), world)

    assert answer["RateLimit-Limit"] == "600"
    assert answer["RateLimit-Remaining"] == "599"
    assert answer["RateLimit-Reset"] == "1"


def test_an_endpoint_that_tells_nothing_about_a_service_needs_no_key(world):
    answers = {
        str(each): (each.request(APIClient(), world).status_code, each.sample.status)
        for each in ALL
        if each.name in WITHOUT_KEY
    }

    assert {name: codes for name, codes in answers.items() if codes[0] != codes[1]} == {}


def test_a_method_that_an_endpoint_lacks_is_a_405_whatever_the_scopes(world):
    client = world.client(world.service, Scope.NUMBERS)

    is_refused(client.delete("/api/v1/conversations/"), 405, "method_not_allowed")

"""The rate of an API key: requests a minute, counted for all processes together."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.api import conversations as conversations_api
from conversations.lifecycle import create
from conversations.lifecycle.choose_numbers import add_participants
from conversations.models import Conversation
from smsproxy.api.models import ApiKey
from tests.support.api_requests import URL, asked_for, is_refused
from tests.support.builders import add_numbers
from tests.support.concurrency import at_once
from tests.support.endpoints import client_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def at_one_moment(time_machine, db):
    time_machine.move_to(timezone.now(), tick=False)


@pytest.fixture
def key(db):
    return ApiKey.objects.issue("rides-backend", requests_per_minute=3)


@pytest.fixture
def client(key):
    return client_with(key[1])


def state(answer):
    return [answer.get(f"RateLimit-{name}") for name in ("Limit", "Remaining", "Reset")]


@pytest.mark.usefixtures("at_one_moment")
def test_a_key_sends_its_rate_at_once_and_then_one_request_after_each_share_of_a_minute(client, time_machine):
    assert [state(client.get(URL)) for _ in range(3)] == [["3", "2", "20"], ["3", "1", "40"], ["3", "0", "60"]]

    refused = client.get(URL)

    assert is_refused(refused, 429, "rate_limited")["detail"] == (
        "This API key may send 3 requests a minute. Retry the request after 20 seconds."
    )
    assert refused["Retry-After"] == "20"
    assert state(refused) == ["3", "0", "60"]
    time_machine.move_to(timezone.now() + timedelta(seconds=20), tick=False)
    assert client.get(URL).status_code == 200
    assert client.get(URL).status_code == 429


@pytest.mark.usefixtures("at_one_moment")
def test_a_request_over_the_rate_does_nothing_and_costs_nothing(client, key):
    add_numbers(2)
    for _ in range(3):
        client.get(URL)
    before = ApiKey.objects.values().get(pk=key[0].pk)

    is_refused(client.post(URL, asked_for()), 429, "rate_limited")

    assert not Conversation.objects.exists()
    assert ApiKey.objects.values().get(pk=key[0].pk) == before


@pytest.mark.usefixtures("at_one_moment")
def test_errors_count_and_show_the_state_of_the_rate(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr(conversations_api.ConversationDetail, "get", lambda *args, **kwargs: 1 / 0)

    assert state(client.post(URL, {})) == ["3", "2", "20"]  # 400
    assert state(client.delete(URL)) == ["3", "1", "40"]  # 405
    broken = client.get(f"{URL}6700e7f1-9cc9-4416-acb0-660068ecc461/")
    assert (broken.status_code, state(broken)) == (500, ["3", "0", "60"])


def test_an_answer_without_a_valid_key_has_no_state_of_a_rate(client):
    assert state(client_with("sp_00000000_wrong").get(URL)) == [None, None, None]


@pytest.mark.usefixtures("at_one_moment")
def test_a_key_without_a_rate_of_its_own_has_that_of_the_settings(settings):
    settings.API_REQUESTS_PER_KEY_MINUTE = 1
    client = client_with(ApiKey.objects.issue("rides-backend")[1])

    assert [client.get(URL).status_code for _ in range(2)] == [200, 429]


@pytest.mark.usefixtures("at_one_moment")
def test_keys_do_not_share_a_rate(client):
    other = client_with(ApiKey.objects.issue("other", requests_per_minute=1)[1])
    for _ in range(4):
        client.get(URL)

    assert other.get(URL).status_code == 200


@pytest.mark.usefixtures("at_one_moment")
def test_a_rate_of_zero_is_no_limit(settings):
    settings.API_REQUESTS_PER_KEY_MINUTE = 1
    client = client_with(ApiKey.objects.issue("rides-backend", requests_per_minute=0)[1])

    answers = [client.get(URL) for _ in range(5)]

    assert Counter(answer.status_code for answer in answers) == {200: 5}
    assert state(answers[0]) == [None, None, None]


def test_a_moment_from_a_wrong_clock_does_not_lock_a_key_out(client, key):
    ApiKey.objects.update(rate_ready_at=(timezone.now() + timedelta(days=1)).timestamp())

    assert client.get(URL).status_code == 200


@pytest.mark.parametrize("rate", [None, 0])
def test_the_last_use_of_a_key_is_known_to_the_minute(time_machine, rate):
    start = timezone.now()
    _, text = ApiKey.objects.issue("rides-backend", requests_per_minute=rate)
    assert ApiKey.objects.get().last_used_at is None

    for seconds in (0, 30, 90):
        time_machine.move_to(start + timedelta(seconds=seconds), tick=False)
        client_with(text).get(URL)
        ago = timezone.now() - (ApiKey.objects.get().last_used_at or start)
        assert timedelta(0) <= ago <= timedelta(minutes=1)


def test_a_key_without_a_limit_is_written_once_a_minute(django_assert_num_queries, db):
    _, text = ApiKey.objects.issue("rides-backend", requests_per_minute=0)
    client = client_with(text)
    client.get(URL)

    with django_assert_num_queries(2):  # The key, and the page of conversations.
        client.get(URL)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_share_the_rate_exactly(no_hurry):
    _, text = ApiKey.objects.issue("rides-backend", requests_per_minute=5)

    answers = at_once(20, lambda index: client_with(text).get(URL).status_code)

    assert Counter(answers) == {200: 5, 429: 15}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_request_does_not_wait_for_the_work_of_another_with_the_same_key(no_hurry, monkeypatch):
    """The row of the key is locked only while a request is counted."""
    add_numbers(2)
    _, text = ApiKey.objects.issue("rides-backend")
    others = []

    def work(*args):
        others.extend(at_once(1, lambda index: client_with(text).get(URL).status_code))
        return add_participants(*args)

    monkeypatch.setattr(create, "add_participants", work)

    created = client_with(text).post(URL, asked_for())

    assert (created.status_code, others) == (201, [200])

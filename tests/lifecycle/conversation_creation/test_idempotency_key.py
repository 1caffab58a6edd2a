"""A repeated request with its Idempotency-Key creates one conversation."""

import pytest

from conversations.models import Conversation, OutboundMessage
from tests.support.api_requests import URL, nothing_exists, ride_request
from tests.support.builders import add_numbers


def test_a_repeated_request_gets_the_first_answer_and_creates_nothing(api):
    add_numbers(4)

    first = api.post(URL, ride_request(), headers={"Idempotency-Key": "order-42"})
    again = api.post(URL, ride_request(), headers={"Idempotency-Key": "order-42"})

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first["Location"] == again["Location"]
    assert Conversation.objects.count() == 1
    assert OutboundMessage.objects.count() == 2


def test_a_repeated_request_succeeds_even_if_the_first_took_the_last_number(api):
    add_numbers(1)

    answers = [api.post(URL, ride_request(), headers={"Idempotency-Key": "k"}).status_code for _ in range(2)]

    assert answers == [201, 201]


def test_a_request_with_another_key_or_without_one_creates_another_conversation(api):
    add_numbers(3)

    for key in ("a", "b"):
        api.post(URL, ride_request(), headers={"Idempotency-Key": key})
    api.post(URL, ride_request())

    assert Conversation.objects.count() == 3


def test_a_key_reused_for_a_different_request_is_a_422(api):
    add_numbers(4)
    api.post(URL, ride_request(), headers={"Idempotency-Key": "k"})

    response = api.post(URL, ride_request(ttl=600), headers={"Idempotency-Key": "k"})

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert Conversation.objects.count() == 1


def test_a_failed_request_can_be_repeated_with_its_key(api):
    assert api.post(URL, ride_request(), headers={"Idempotency-Key": "k"}).status_code == 409
    add_numbers(2)

    assert api.post(URL, ride_request(), headers={"Idempotency-Key": "k"}).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "x" * 101, "a b", "ü"])
def test_a_malformed_key_is_a_400(api, key):
    add_numbers(2)

    assert api.post(URL, ride_request(), headers={"Idempotency-Key": key}).status_code == 400
    assert nothing_exists()

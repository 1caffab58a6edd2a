"""Repeats that are concurrent, or that go to another endpoint."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.db import connection, transaction

from conversations.models import Conversation
from smsproxy.api.idempotency import Once
from smsproxy.api.models import IdempotencyRecord
from smsproxy.api.problems import Problem
from tests.support.api_requests import URL, client_of, is_refused, ride_request
from tests.support.builders import add_numbers
from tests.support.concurrency import at_once

KEY = {"Idempotency-Key": "order-42"}
REQUEST = Once(service_id=1, key="order-42", request_hash="a", request_hash_of_body="b")


def test_a_key_sent_to_another_endpoint_is_refused(db):
    """The hash of a request includes its method and path."""
    with transaction.atomic():
        REQUEST.begin()
        REQUEST.finish(201, {"id": 7}, "/things/7/")

    with pytest.raises(Problem) as caught, transaction.atomic():
        replace(REQUEST, request_hash="another path").begin()

    assert (caught.value.status_code, caught.value.get_codes()) == (422, "idempotency_key_reused")


def test_a_request_without_a_key_stores_no_answer(db):
    request = replace(REQUEST, key=None)

    for _ in range(2):
        with transaction.atomic():
            request.begin()
            answer = request.finish(201, {"id": 7})

    assert answer.data == {"id": 7}
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_a_repeat_of_a_request_that_is_still_running_is_a_409():
    add_numbers(2)
    client = client_of()

    def repeat():
        try:
            return client.post(URL, ride_request(), headers=KEY)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            REQUEST.begin()
            answer = pool.submit(repeat).result(60)
        after = pool.submit(repeat).result(60)

    is_refused(answer, 409, "idempotency_in_progress")
    assert answer["Retry-After"] == "1"
    assert after.status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_another_key_does_not_wait_for_a_request_that_is_still_running():
    add_numbers(2)
    client = client_of()

    def other():
        try:
            return client.post(URL, ride_request(), headers={"Idempotency-Key": "order-43"})
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        REQUEST.begin()
        assert pool.submit(other).result(60).status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_ten_repeats_at_once_create_one_conversation_and_get_its_answer_or_a_409(no_hurry):
    add_numbers(30)
    clients = [client_of() for _ in range(10)]

    answers = at_once(10, lambda index: clients[index].post(URL, ride_request(), headers=KEY))

    made = Conversation.objects.get()
    created = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["id"] for answer in created} == {str(made.public_id)}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in created) == 1

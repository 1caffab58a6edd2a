"""A request with an Idempotency-Key creates one conversation, however often it is sent."""

import pytest

from conversations.lifecycle import create
from conversations.models import Conversation, OutboundMessage
from numbers.models import Pool
from smsproxy.api.models import IdempotencyRecord
from smsproxy.crypto import Unreadable, keyed_hash
from smsproxy.services.models import Service
from tests.support.api_requests import URL, client_of, nothing_exists, ride_request
from tests.support.builders import ALICE, BOB, add_numbers

KEY = {"Idempotency-Key": "order-42"}


def is_replayed(answer):
    return answer.headers.get("Idempotency-Replayed") == "true"


def test_a_repeated_request_gets_the_first_answer_byte_for_byte_and_creates_nothing(api):
    add_numbers(4)

    first = api.post(URL, ride_request(), headers=KEY)
    api.post(f"{first['Location']}close/")  # It is no longer as it was.
    again = api.post(URL, ride_request(), headers=KEY)

    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert (first["Location"], first["Content-Type"]) == (again["Location"], again["Content-Type"])
    assert (is_replayed(first), is_replayed(again)) == (False, True)
    assert Conversation.objects.count() == 1
    assert OutboundMessage.objects.count() == 2


def test_a_repeated_request_succeeds_even_if_the_first_took_the_last_number(api):
    add_numbers(1)

    answers = [api.post(URL, ride_request(), headers=KEY).status_code for _ in range(2)]

    assert answers == [201, 201]


def test_a_request_with_another_key_or_without_one_creates_another_conversation(api):
    add_numbers(3)

    for key in ("a", "b"):
        api.post(URL, ride_request(), headers={"Idempotency-Key": key})
    unnamed = api.post(URL, ride_request())

    assert Conversation.objects.count() == 3
    assert not is_replayed(unnamed)


def test_a_key_reused_for_a_different_request_is_a_422(api):
    add_numbers(4)
    api.post(URL, ride_request(), headers=KEY)

    response = api.post(URL, ride_request(ttl=600), headers=KEY)

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert Conversation.objects.count() == 1


def test_a_failed_request_stores_no_answer_and_can_be_repeated_with_its_key(api):
    assert api.post(URL, ride_request(), headers=KEY).status_code == 409
    assert not IdempotencyRecord.objects.exists()
    add_numbers(2)

    answer = api.post(URL, ride_request(), headers=KEY)

    assert answer.status_code == 201
    assert not is_replayed(answer)


def test_an_answer_is_stored_only_together_with_its_conversation(api, monkeypatch):
    """A fault after the answer is stored, in the last step of the transaction, takes the answer back, too."""
    add_numbers(2)
    monkeypatch.setattr(create, "increment_live_counts", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        api.post(URL, ride_request(), headers=KEY)
    monkeypatch.undo()

    assert not IdempotencyRecord.objects.exists()
    assert api.post(URL, ride_request(), headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a b", "ü"])
def test_a_malformed_key_is_a_400(api, key):
    add_numbers(2)

    answer = api.post(URL, ride_request(), headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")
    assert nothing_exists()


def test_a_key_has_up_to_255_characters(api):
    add_numbers(2)

    answers = [api.post(URL, ride_request(), headers={"Idempotency-Key": "~" * 255}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert is_replayed(answers[1])


def test_the_keys_of_one_service_share_their_idempotency_keys(api):
    add_numbers(2)

    first, again = [client.post(URL, ride_request(), headers=KEY) for client in (api, client_of())]

    assert first.content == again.content
    assert is_replayed(again)


def test_two_services_may_use_the_same_idempotency_key(api):
    add_numbers(4)

    first, other = [client.post(URL, ride_request(), headers=KEY) for client in (api, client_of("berlin"))]

    assert first.json()["id"] != other.json()["id"]
    assert not is_replayed(other)


def test_a_repeat_pays_for_no_lookup(api, carrier, settings):
    add_numbers(2)
    first = api.post(URL, ride_request(), headers=KEY)
    settings.LOOKUP, settings.LOOKUP_MAX_AGE_SECONDS = "number_insight", 0

    again = api.post(URL, ride_request(), headers=KEY)

    assert first.content == again.content
    assert carrier.looked_up == []


def test_a_repeat_is_recognised_after_its_fixed_end(api, time_machine):
    add_numbers(2)
    time_machine.move_to("2026-01-01T12:00:00+00:00")
    body = ride_request(ttl=None, expires_at="2026-01-01T12:00:10+00:00")
    first = api.post(URL, body, headers=KEY)
    time_machine.move_to("2026-01-01T12:00:20+00:00")

    again = api.post(URL, body | {"expires_at": "2026-01-01T13:00:10+01:00"}, headers=KEY)

    assert first.status_code == again.status_code == 201
    assert first.content == again.content


def test_the_defaults_of_the_service_may_change_between_two_attempts(api):
    add_numbers(2)
    first = api.post(URL, ride_request(), headers=KEY)
    Service.objects.update(pool=Pool.objects.create(name="berlin"), ttl=600)

    again = api.post(URL, ride_request(), headers=KEY)

    assert first.content == again.content


# Requests from before version 1.0: only their hash and the Location of their conversation was kept.


@pytest.fixture
def kept_from_0_1(api):
    """Return the answer to a request of version 0.1, which a migration has copied, and its body."""
    add_numbers(2)
    body = {"participants": [{"number": ALICE}, {"number": BOB}]}
    created = api.post(URL, body)
    people = f'[{{"label": "", "number": "{ALICE}"}}, {{"label": "", "number": "{BOB}"}}]'
    hashed = f'{{"notify": true, "participants": {people}, "reference": "", "ttl": null}}'
    location = f"{URL}{created.json()['id']}/"
    IdempotencyRecord.objects.create(
        service_id=1, key="order-42", request_hash=keyed_hash(hashed), status=201, location=location
    )
    return created, body


def test_a_repeat_across_the_upgrade_is_answered_with_the_conversation_as_it_is(api, kept_from_0_1):
    created, body = kept_from_0_1
    api.post(f"{created['Location']}close/")

    again = api.post(URL, body, headers=KEY)

    assert again.status_code == 201
    assert (again.json()["id"], again.json()["status"]) == (created.json()["id"], "closed")
    assert again["Location"] == created["Location"]
    assert is_replayed(again)
    assert Conversation.objects.count() == 1


def test_a_key_from_before_the_upgrade_rejects_a_different_request(api, kept_from_0_1):
    _, body = kept_from_0_1

    assert api.post(URL, body | {"ttl": 600}, headers=KEY).status_code == 422


def test_a_stored_answer_that_no_key_decrypts_is_replaced_by_the_conversation(api):
    add_numbers(2)
    first = api.post(URL, ride_request(), headers=KEY)
    IdempotencyRecord.objects.update(body=Unreadable("lost"))

    again = api.post(URL, ride_request(), headers=KEY)

    assert again.json() == first.json()

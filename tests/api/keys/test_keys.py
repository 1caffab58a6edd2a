"""The life of an API key: its status, its scopes, its rotation, and how a caller learns of each."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.utils import timezone

from conversations.models import Conversation
from smsproxy.api.models import ApiKey
from smsproxy.api.scopes import Scope
from smsproxy.database.clock import as_stored
from smsproxy.services.models import Service
from smsproxy.states import StaleState
from tests.support.api_requests import URL, asked_for, is_refused
from tests.support.builders import add_numbers
from tests.support.concurrency import at_once
from tests.support.endpoints import client_with

pytestmark = pytest.mark.django_db

WRONG = "Expected the header «Authorization: Bearer <API key>» with a valid key."


def status_of(text):
    return client_with(text).get(URL).status_code


def altered(text):
    return text[:-1] + ("A" if text[-1] != "A" else "B")


def test_a_key_expires_at_its_time(time_machine):
    now = timezone.now()
    time_machine.move_to(now, tick=False)
    _, text = ApiKey.objects.issue("rides-backend", expires_at=now + timedelta(hours=1))

    time_machine.move_to(now + timedelta(minutes=59), tick=False)
    assert status_of(text) == 200
    time_machine.move_to(now + timedelta(hours=1), tick=False)
    assert "expired" in is_refused(client_with(text).get(URL), 401, "key_expired")["detail"]


@pytest.mark.parametrize("change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}, {}])
def test_a_caller_without_the_secret_does_not_learn_the_status_of_a_key(change):
    key, text = ApiKey.objects.issue("rides-backend")
    ApiKey.objects.filter(pk=key.pk).update(**change)

    told = is_refused(client_with(altered(text)).get(URL), 401, "authentication_failed")

    assert told["detail"] == WRONG


def test_a_key_that_an_older_version_inserted_reads_and_writes_in_the_default_service(db):
    key, text = ApiKey.objects.issue("backend")
    key.delete()
    values = [key.name, key.prefix, key.key_hash, as_stored(key.created_at)]
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO api_apikey (name, prefix, key_hash, created_at) VALUES (%s, %s, %s, %s)", values)
    add_numbers(2)

    made = client_with(text).post(URL, asked_for())

    assert made.status_code == 201
    assert client_with(text).get(f"{URL}{made.json()['id']}/").status_code == 200
    assert ApiKey.objects.get().service_id == 1


@pytest.mark.parametrize(
    ("given", "stored"), [("write,read", "read write"), ("numbers", "numbers"), ("read  read", "read")]
)
def test_scopes_are_stored_in_their_order(given, stored):
    assert ApiKey.objects.issue("rides-backend", scopes=given)[0].scopes == stored


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scopes": "read admin"}, "Expected one of read, write, numbers, found 'admin'"),
        ({"scopes": ""}, "This field cannot be blank"),
        ({"scopes": ", "}, "Expected one or several of read, write, numbers"),
        ({"name": "rides\nbackend"}, "Expected one line"),
        ({"name": ""}, "This field cannot be blank"),
        ({"name": "x" * 101}, "at most 100 characters"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(wrong, told):
    with pytest.raises(ValidationError, match=told):
        ApiKey.objects.issue(**{"name": "rides-backend", **wrong})

    assert not ApiKey.objects.exists()


def test_a_rotated_key_and_its_successor_both_work_during_the_overlap(time_machine):
    now = timezone.now()
    time_machine.move_to(now, tick=False)
    service = Service.objects.create(name="rides")
    old, old_text = ApiKey.objects.issue(
        "backend", service=service, scopes="read numbers", requests_per_minute=7, expires_at=now + timedelta(days=90)
    )

    new, new_text = old.rotate(overlap=timedelta(days=7))

    assert (new.name, new.service, new.scopes, new.requests_per_minute) == ("backend", service, "read numbers", 7)
    assert new.expires_at == now + timedelta(days=90)
    assert (status_of(old_text), status_of(new_text)) == (200, 200)
    time_machine.move_to(now + timedelta(days=7), tick=False)
    assert (status_of(old_text), status_of(new_text)) == (401, 200)


def test_a_rotation_does_not_prolong_a_key_that_expires_earlier():
    now = timezone.now()
    old, _ = ApiKey.objects.issue("backend", expires_at=now + timedelta(hours=1))

    old.rotate(overlap=timedelta(days=7))

    old.refresh_from_db()
    assert old.expires_at == now + timedelta(hours=1)


def test_a_rotation_without_an_overlap_ends_the_key_at_once():
    old, text = ApiKey.objects.issue("backend")

    old.rotate(overlap=timedelta(0))

    is_refused(client_with(text).get(URL), 401, "key_expired")


@pytest.mark.parametrize("end", [ApiKey.revoke, lambda key: key.rotate(overlap=timedelta(0))])
def test_a_key_that_is_revoked_or_rotated_cannot_be_rotated(end):
    key, _ = ApiKey.objects.issue("backend")
    end(key)
    count = ApiKey.objects.count()

    with pytest.raises(StaleState):
        key.rotate(overlap=timedelta(days=1))

    assert ApiKey.objects.count() == count


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_concurrent_rotations_one_succeeds(no_hurry):
    key, _ = ApiKey.objects.issue("backend")

    def rotate(index):
        try:
            return bool(ApiKey.objects.get(pk=key.pk).rotate(overlap=timedelta(days=1)))
        except StaleState:
            return False

    assert sorted(at_once(4, rotate)) == [False, False, False, True]
    assert ApiKey.objects.current().count() == 1


def test_two_keys_of_a_service_never_hold_the_same_name():
    ApiKey.objects.issue("backend")
    row = ApiKey(name="backend")
    row.generate()

    with pytest.raises(IntegrityError):
        row.save()


def test_the_keys_of_two_services_may_have_the_same_name_and_share_nothing():
    add_numbers(4)
    services = [Service.objects.create(name=name) for name in ("rides", "parcels")]
    clients = [client_with(ApiKey.objects.issue("backend", service=each)[1]) for each in services]

    made = [each.post(URL, asked_for(reference="order-1")).json()["id"] for each in clients]

    assert [[each["id"] for each in client.get(URL).json()["results"]] for client in clients] == [
        [each] for each in made
    ]
    assert [Conversation.objects.get(public_id=each).service for each in made] == services
    assert clients[0].get(f"{URL}{made[1]}/").status_code == 404


def test_a_key_sees_what_an_older_key_of_its_service_created(api):
    add_numbers(2)
    made = api.post(URL, asked_for()).json()["id"]

    assert client_with(ApiKey.objects.issue("second")[1]).get(f"{URL}{made}/").status_code == 200


def test_one_scope_does_not_imply_another():
    key, _ = ApiKey.objects.issue("backend", scopes="write")

    assert [key.has_scope(scope) for scope in Scope] == [False, True, False]

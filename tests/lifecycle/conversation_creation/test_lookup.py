"""The carrier's lookup of the numbers in a new conversation."""

import threading

import pytest
from django.db import connection

from conversations.models import Conversation
from conversations.trust.blocks import block_person
from numbers.lookup import look_up
from numbers.models import RealNumber
from smsproxy.carriers.base import LookupResult, LookupVerdict, TemporaryFailure
from tests.support.api_requests import URL, nothing_exists, ride_request
from tests.support.builders import ALICE, BOB, add_numbers


@pytest.fixture(autouse=True)
def _with_a_lookup(settings):
    settings.LOOKUP = "identity_insights"


def test_a_number_that_the_lookup_finds_invalid_is_rejected_and_nothing_is_created(api, carrier):
    add_numbers(2)
    verdicts = {ALICE: LookupVerdict.VALID, BOB: LookupVerdict.INVALID}
    carrier.lookup = lambda number: LookupResult(verdict=verdicts[number])

    response = api.post(URL, ride_request())

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/participants/1/number"
    assert response.json()["errors"][0]["code"] == "number_not_valid"
    assert nothing_exists()


@pytest.mark.django_db(transaction=True)
def test_the_lookup_result_is_stored_with_the_real_number_and_reused(api, carrier):
    add_numbers(4)
    carrier.lookup = lambda number: LookupResult(verdict=LookupVerdict.VALID, country="IE", line_type="mobile")

    first = api.post(URL, ride_request()).json()
    api.post(URL, ride_request())

    assert sorted(carrier.looked_up) == [ALICE, BOB]
    assert first["participants"][0]["country"] == "IE"
    assert RealNumber.objects.with_number(ALICE).get().line_type == "mobile"


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_during_the_lookup(api, carrier, monkeypatch):
    add_numbers(2)

    def look_up_outside_transaction(numbers):
        assert not connection.in_atomic_block
        return look_up(numbers)

    monkeypatch.setattr("conversations.lifecycle.check_people.look_up", look_up_outside_transaction)

    assert api.post(URL, ride_request()).status_code == 201
    assert len(carrier.looked_up) == 2


def test_a_person_who_is_blocked_during_the_lookup_is_refused(api, carrier, monkeypatch):
    add_numbers(2)
    [bob] = RealNumber.objects.add([BOB]).values()

    def block_and_look_up(numbers):
        block_person(bob, reason="threats", actor="staff")
        return look_up(numbers)

    monkeypatch.setattr("conversations.lifecycle.check_people.look_up", block_and_look_up)

    response = api.post(URL, ride_request())

    assert response.status_code == 409
    assert response.json()["code"] == "blocked"
    assert not Conversation.objects.exists()


def test_both_numbers_are_looked_up_concurrently(api, carrier):
    add_numbers(2)
    together = threading.Barrier(2, timeout=60)

    def look_up(number):
        together.wait()
        return LookupResult(verdict=LookupVerdict.VALID)

    carrier.lookup = look_up

    assert api.post(URL, ride_request()).status_code == 201


def test_a_lookup_failure_does_not_block_creation_and_the_lookup_is_retried_next_time(api, carrier):
    add_numbers(4)

    def fail(number):
        raise TemporaryFailure("away")

    carrier.lookup = fail

    assert api.post(URL, ride_request()).status_code == 201
    assert api.post(URL, ride_request()).status_code == 201
    assert len(carrier.looked_up) == 4

"""The limits of an API key: conversations and new people a minute and a day."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conversations.lifecycle import create
from conversations.models import Conversation, LimitScope, LimitUsage
from numbers.models import RealNumber
from tests.support.api_requests import URL, asked_for, given, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_one_moment(time_machine, db):
    time_machine.move_to(timezone.now(), tick=False)
    add_numbers(20)


def used(scope):
    return list(LimitUsage.objects.filter(scope=scope).values_list("short_ready_at", "long_ready_at"))


def test_a_key_creates_a_limited_number_of_conversations_and_learns_when_to_retry(api, settings, time_machine):
    settings.CREATIONS_PER_SERVICE_MINUTE, settings.CREATIONS_PER_SERVICE_DAY = 2, 100
    for _ in range(2):
        given(api.post(URL, asked_for()))

    answer = api.post(URL, asked_for())

    is_refused(answer, 429, "over_limit")
    assert answer["Retry-After"] == "30"
    assert "2 a minute and 100 a day" in answer.json()["detail"]
    assert Conversation.objects.count() == 2
    time_machine.move_to(timezone.now() + timedelta(seconds=30), tick=False)
    given(api.post(URL, asked_for()))
    is_refused(api.post(URL, asked_for()), 429, "over_limit")


def test_a_key_creates_a_limited_number_of_conversations_a_day(api, settings):
    settings.CREATIONS_PER_SERVICE_DAY = 2
    for _ in range(2):
        given(api.post(URL, asked_for()))

    answer = api.post(URL, asked_for())

    is_refused(answer, 429, "over_limit")
    assert answer["Retry-After"] == "43200"


@pytest.mark.parametrize(
    ("setting", "wait"), [("NEW_PEOPLE_PER_SERVICE_MINUTE", "15"), ("NEW_PEOPLE_PER_SERVICE_DAY", "21600")]
)
def test_a_key_adds_a_limited_number_of_new_people_and_may_still_use_the_known(api, settings, setting, wait):
    setattr(settings, setting, 4)
    given(api.post(URL, asked_for(ALICE, BOB, CHARLIE)))
    given(api.post(URL, asked_for(ALICE, "+447700900011")))

    answer = api.post(URL, asked_for(ALICE, "+447700900012"))

    is_refused(answer, 429, "over_limit")
    assert answer["Retry-After"] == wait
    assert "900012" not in answer.content.decode()
    assert not RealNumber.objects.with_number("+447700900012").exists()
    given(api.post(URL, asked_for(ALICE, BOB)))


def test_a_refused_request_costs_nothing(api, settings):
    settings.NEW_PEOPLE_PER_SERVICE_DAY = 2
    given(api.post(URL, asked_for()))
    before = used(LimitScope.CREATIONS)

    is_refused(api.post(URL, asked_for(ALICE, CHARLIE)), 429, "over_limit")
    is_refused(api.post(URL, asked_for(ALICE, ALICE)), 400, "same_number_twice")

    assert used(LimitScope.CREATIONS) == before


def test_a_request_that_is_refused_after_the_charge_costs_nothing(api, settings, monkeypatch):
    monkeypatch.setattr(create, "_refuse_over_limit", lambda *args: None)
    settings.NEW_PEOPLE_PER_SERVICE_DAY = 2
    given(api.post(URL, asked_for()))
    before = used(LimitScope.CREATIONS)

    is_refused(api.post(URL, asked_for(ALICE, CHARLIE)), 429, "over_limit")

    assert used(LimitScope.CREATIONS) == before
    assert Conversation.objects.count() == 1


def test_a_repeated_request_costs_nothing_and_is_answered_over_the_limit_too(api, settings):
    settings.CREATIONS_PER_SERVICE_MINUTE = 1
    first = api.post(URL, asked_for(), headers={"Idempotency-Key": "ride-1"})
    before = used(LimitScope.CREATIONS)

    again = api.post(URL, asked_for(), headers={"Idempotency-Key": "ride-1"})

    assert again.json()["id"] == first.json()["id"]
    assert used(LimitScope.CREATIONS) == before


def test_nothing_is_paid_for_a_request_over_the_limit(api, settings, carrier):
    settings.LOOKUP = "number_insight"
    settings.NEW_PEOPLE_PER_SERVICE_MINUTE = 2
    given(api.post(URL, asked_for()))
    assert len(carrier.looked_up) == 2

    is_refused(api.post(URL, asked_for(CHARLIE, "+447700900012")), 429, "over_limit")

    assert len(carrier.looked_up) == 2


def test_a_dry_run_uses_no_limit(api):
    assert api.post(f"{URL}dry-run/", asked_for()).status_code == 200

    assert not LimitUsage.objects.exists()

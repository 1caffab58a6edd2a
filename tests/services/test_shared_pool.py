"""Marketplaces may share a pool: a pair of numbers has one live conversation, whatever the marketplace."""

import pytest

from conversations.models import InboundMessage, Participant
from numbers.models import NumberState, VirtualNumber
from smsproxy.database.clock import database_now
from tests.support.api_requests import asked_for, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE
from tests.support.services import proxies_of, texts_to, write

pytestmark = pytest.mark.django_db


def test_a_person_in_two_marketplaces_has_a_number_for_each_and_each_text_reaches_the_right_one(rides, parcels):
    ride, parcel = rides.talk(ALICE, BOB), parcels.talk(ALICE, CHARLIE)

    write(ALICE, proxies_of(ride)[0], "to the driver")
    write(ALICE, proxies_of(parcel)[0], "to the courier")

    assert proxies_of(ride)[0] != proxies_of(parcel)[0]
    assert texts_to(BOB) == ["to the driver"]
    assert texts_to(CHARLIE) == ["to the courier"]
    found = InboundMessage.objects.order_by("pk").values_list("participant__conversation__service__name", flat=True)
    assert list(found) == ["rides", "parcels"]


def test_the_same_two_people_in_two_marketplaces_have_two_conversations(rides, parcels):
    ride, parcel = rides.talk(), parcels.talk()

    assert set(proxies_of(ride)).isdisjoint({proxies_of(parcel)[0]})
    assert Participant.objects.unreleased().count() == 4


def test_a_number_that_reaches_a_person_in_one_marketplace_is_taken_in_the_other(rides, parcels):
    number = proxies_of(rides.talk())[0]

    answer = parcels.api.post(
        "/api/v1/conversations/", asked_for({"number": ALICE, "proxy_number": number}, {"number": CHARLIE})
    )

    is_refused(answer, 409, "proxy_number_taken")


def test_a_late_text_of_one_marketplace_never_appears_in_another_where_the_same_people_meet(rides, parcels):
    ride = rides.talk()
    rides.api.post(f"/api/v1/conversations/{ride['id']}/close/", {})

    parcel = parcels.talk()

    assert set(proxies_of(parcel)).isdisjoint(proxies_of(ride))
    assert write(ALICE, proxies_of(ride)[0], "Thanks for the ride") == "ended"
    assert parcels.api.get(f"/api/v1/conversations/{parcel['id']}/messages/").json()["results"] == []


def test_a_dry_run_tells_no_marketplace_that_two_people_have_met_in_another(rides, parcels):
    ride = rides.talk()
    rides.api.post(f"/api/v1/conversations/{ride['id']}/close/", {})
    Participant.objects.update(released_at=database_now())
    body = {"participants": [{"number": ALICE}, {"number": BOB}]}

    in_rides, in_parcels = (each.api.post("/api/v1/conversations/dry-run/", body).json() for each in (rides, parcels))

    assert {each["chosen_by"] for each in in_rides["participants"]} == {"last used"}
    assert "last used" not in {each["chosen_by"] for each in in_parcels["participants"]}


def test_no_cool_down_of_another_marketplace_is_cut_short(rides, parcels, settings):
    settings.SOFT_COOL_DOWN_SECONDS = 0
    VirtualNumber.objects.exclude(pk=VirtualNumber.objects.values("pk")[:1]).update(state=NumberState.DRAINING)
    ride = rides.talk(ALICE, BOB)
    rides.api.post(f"/api/v1/conversations/{ride['id']}/close/", {})
    body = {"participants": [{"number": ALICE}, {"number": CHARLIE}], "on_exhausted": "soft", "notify": False}

    is_refused(parcels.api.post("/api/v1/conversations/", body), 409, "no_number_free")

    assert rides.api.post("/api/v1/conversations/", body).status_code == 201

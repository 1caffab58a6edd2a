"""The limits of a marketplace are its own: another one's use or values never change them."""

import pytest
from django.utils import timezone

from conversations.models import Conversation, LimitScope, LimitUsage
from conversations.models.limit_usage import messages_pair, messages_subject
from smsproxy.services.models import Service
from tests.support.api_requests import is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, talk
from tests.support.services import proxies_of, write
from tests.support.settings_file import start

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_one_moment(time_machine):
    time_machine.move_to(timezone.now(), tick=False)


def limit(market, **limits):
    for name, value in limits.items():
        setattr(market.service, name, value)
    market.service.save()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "column", ["messages_per_person_minute", "messages_per_person_day", "messages_per_conversation_minute"]
)
def test_texts_over_the_limit_of_one_marketplace_still_reach_people_in_another(rides, parcels, column):
    limit(rides, **{column: 2})
    ride, parcel = proxies_of(rides.talk())[0], proxies_of(parcels.talk())[0]

    assert [write(ALICE, ride) for _ in range(3)] == ["relayed", "relayed", "limited"]
    assert [write(ALICE, parcel) for _ in range(3)] == ["relayed"] * 3


@pytest.mark.usefixtures("path")
def test_a_person_s_texts_in_one_marketplace_use_no_limit_of_another(rides, parcels, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 2
    ride, parcel = proxies_of(rides.talk())[0], proxies_of(parcels.talk())[0]

    assert [write(ALICE, to) for to in (ride, parcel, ride, parcel, ride)] == ["relayed"] * 4 + ["limited"]


@pytest.mark.usefixtures("path")
def test_a_marketplace_may_have_no_limit_where_the_settings_have_one(rides, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = settings.MESSAGES_PER_CONVERSATION_MINUTE = 1
    limit(rides, messages_per_person_minute=0, messages_per_conversation_minute=0)
    to = proxies_of(rides.talk())[0]

    assert [write(ALICE, to) for _ in range(3)] == ["relayed"] * 3


def test_the_use_in_the_default_service_is_stored_as_it_was_before_there_were_services():
    assert messages_subject(1, 77) == 77
    assert messages_pair(messages_subject(900_000, 900_000_000_000)) == (900_000, 900_000_000_000)
    assert messages_pair(77) == (1, 77)


@pytest.mark.parametrize("columns", [{"creations_per_minute": 2}, {"creations_per_day": 2}])
def test_a_second_key_gives_a_marketplace_no_second_allowance(rides, parcels, columns):
    limit(rides, **columns)
    rides.talk(ALICE, BOB)
    rides.api = rides.client("another key")
    rides.talk(ALICE, CHARLIE)

    problem = is_refused(rides.try_to_talk(BOB, CHARLIE), 429, "over_limit")

    assert " 2 a " in problem["detail"]
    assert "The limit of conversations created in a service is" in problem["detail"]
    assert "for all its keys together" in problem["detail"]
    assert "operator" not in problem["detail"]
    parcels.talk(BOB, CHARLIE)


def test_the_new_people_of_a_marketplace_are_counted_in_it_alone(rides, parcels):
    limit(rides, new_people_per_day=10)
    limit(parcels, new_people_per_day=10)
    for index in range(5):
        rides.talk(f"+4477009010{index}0", f"+4477009010{index}1")

    is_refused(rides.try_to_talk(ALICE, BOB), 429, "over_limit")
    parcels.talk(ALICE, BOB)
    rides.talk(ALICE, BOB)


def test_a_refusal_names_the_limit_of_the_marketplace_and_not_that_of_the_settings(rides, settings):
    settings.CREATIONS_PER_SERVICE_MINUTE, settings.CREATIONS_PER_SERVICE_DAY = 7, 0
    limit(rides, creations_per_minute=1)
    rides.talk()

    detail = rides.try_to_talk(ALICE, CHARLIE).json()["detail"]

    assert "is 1 a minute, for" in detail


def test_a_limit_of_zero_of_a_service_is_no_limit(rides, settings):
    settings.CREATIONS_PER_SERVICE_MINUTE = 1
    limit(rides, creations_per_minute=0)

    for other in (BOB, CHARLIE, STRANGER):
        rides.talk(ALICE, other)


def test_staff_see_whose_limit_it_is_and_whether_it_is_used_up(rides, admin_client):
    limit(rides, messages_per_person_minute=1, creations_per_minute=1)
    to = proxies_of(rides.talk())[0]
    write(ALICE, to)
    rows = {row.scope: row for row in LimitUsage.objects.all()}

    page = admin_client.get("/admin/conversations/limitusage/").content.decode()

    assert f">service {rides.service.pk}</a>" in page
    assert page.count("used up") == 2, "a person's texts and the creations"
    assert set(rows) >= {LimitScope.PERSON, LimitScope.CREATIONS, LimitScope.CONVERSATION}
    assert ALICE[1:] not in page


def test_an_ordinary_text_reads_its_service_no_more_than_once_in_some_seconds(rides, path):
    to = proxies_of(rides.talk())[0]
    write(ALICE, to)
    Service.objects.filter(pk=rides.service.pk).update(messages_per_person_minute=1)  # As another process does it.

    assert write(ALICE, to) == "relayed"


def test_conversations_created_without_a_key_belong_to_the_default_service(rides):
    assert talk(ALICE, BOB).service_id == 1
    assert Conversation.objects.get(public_id=rides.talk()["id"]).service_id == rides.service.pk


def test_old_names_of_the_settings_are_refused_with_the_new_ones():

    _, output = start(CREATIONS_PER_KEY_MINUTE="60", NEW_PEOPLE_PER_KEY_DAY="100")

    assert "CREATIONS_PER_KEY_MINUTE is now called CREATIONS_PER_SERVICE_MINUTE" in output
    assert "NEW_PEOPLE_PER_KEY_DAY is now called NEW_PEOPLE_PER_SERVICE_DAY" in output

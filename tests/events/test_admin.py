"""Staff see the events newest first, and find those of one type without a walk through all of them."""

import pytest
from django.urls import reverse

from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.django_db
LIST = reverse("admin:events_feedevent_changelist")


def ids(page):
    return [event.pk for event in page.context["cl"].result_list]


def test_events_are_listed_newest_first_and_by_type(admin_client):
    for type_ in (EventType.NUMBER_ACTIVE, EventType.NUMBER_RETIRED, EventType.NUMBER_ACTIVE):
        record(NewEvent(type=type_, service_id=None))

    everything = ids(admin_client.get(LIST))
    active = ids(admin_client.get(LIST, {"type": "number.active"}))

    assert everything == sorted(everything, reverse=True)
    assert active == [everything[0], everything[2]]


def test_the_choice_of_types_reads_no_events(admin_client):
    with recorded_statements() as statements:
        admin_client.get(LIST)

    assert not [each for each in statements if "DISTINCT" in each and "events_feedevent" in each]

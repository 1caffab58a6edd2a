"""Staff see the events newest first, and find those of one type without a walk through all of them."""

import pytest
from django.urls import reverse

from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType

pytestmark = pytest.mark.django_db
LIST = reverse("admin:events_feedevent_changelist")


def ids(page):
    return [event.pk for event in page.context["cl"].result_list]


def test_events_are_listed_newest_first(admin_client):
    for type_ in (EventType.NUMBER_ACTIVE, EventType.NUMBER_RETIRED, EventType.NUMBER_ACTIVE):
        record(NewEvent(type=type_, service_id=None))

    everything = ids(admin_client.get(LIST))

    assert len(everything) == 3
    assert everything == sorted(everything, reverse=True)

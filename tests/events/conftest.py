"""A check of the schema for all tests about events."""

import pytest

from smsproxy.events.models import FeedEvent
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service
from tests.support.feed import client_of, errors_of, read_all


@pytest.fixture
def every_event_is_valid(db):
    """Check after the test that each event that it wrote is as the OpenAPI schema says, as its readers see it."""
    yield
    services = set(FeedEvent.objects.values_list("service_id", flat=True)) - {None}
    Service.objects.ensure_default()
    for service_id in services | {DEFAULT_SERVICE_ID}:
        client = client_of(service_id=service_id, scopes="read numbers")
        assert [error for event in read_all(client, page_size=200) for error in errors_of(event)] == []

"""A check of the schema for all tests about events."""

import pytest

from smsproxy.services.models import Service
from tests.support.feed import client_of, errors_of, read_all


@pytest.fixture
def every_event_is_valid(db):
    """Check after the test that each event that it wrote is as the OpenAPI schema says, as its readers see it."""
    yield
    Service.objects.ensure_default()
    for service in Service.objects.all():
        client = client_of(service=service, scopes="read numbers")
        assert [error for event in read_all(client, page_size=200) for error in errors_of(event)] == []

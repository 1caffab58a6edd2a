"""Conversations of two services, and the clock of these tests."""

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service
from tests.support.builders import add_numbers


@pytest.fixture
def _still(time_machine):
    """Stop the clock. Only `pass_time` moves it."""
    time_machine.move_to(timezone.now(), tick=False)


@pytest.fixture
def create(api):
    """Return a function that creates a conversation by the API and returns its address."""
    add_numbers(8)

    def create(client=api, **body):
        people = [{"number": "+447700900001", "label": "Rider"}, {"number": "+447700900002", "label": "Driver"}]
        answer = client.post(URL, {"participants": people, "notify": False} | body)
        assert answer.status_code == 201, answer.content
        return f"{URL}{answer.json()['id']}/"

    return create


@pytest.fixture
def other_service(db):
    """Return a client of the API with a key of another service."""
    return client_of(Service.objects.create(name="bikes"))


def client_of(service):
    row, key = ApiKey.objects.issue(f"backend of {service}")
    ApiKey.objects.filter(pk=row.pk).update(service=service)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


URL = "/api/v1/conversations/"

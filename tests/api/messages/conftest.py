"""Conversations whose messages are read and sent, and another service."""

import pytest
from rest_framework.test import APIClient

from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk


@pytest.fixture
def _numbers(db):
    add_numbers(4)


@pytest.fixture
def pair(_numbers):
    """Return a conversation of Alice (0) and Bob (1)."""
    return talk(ALICE, BOB)


@pytest.fixture
def group(_numbers):
    """Return a conversation of Alice (0), Bob (1) and Charlie (2)."""
    return talk(ALICE, BOB, CHARLIE)


@pytest.fixture
def other_api(db):
    """Return a client with a key of another service."""
    row, key = ApiKey.objects.issue("another marketplace")
    ApiKey.objects.filter(pk=row.pk).update(service=Service.objects.create(name="another"))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client

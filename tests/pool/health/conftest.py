"""The fixtures of the tests of number health."""

from datetime import timedelta

import pytest
from django.utils import timezone

from numbers.models import NumberEvent
from tests.support.builders import add_numbers
from tests.support.number_health import LEAST, THRESHOLD, WINDOW


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.HEALTH_MIN_RECEIPTS, settings.HEALTH_MAX_FAILURE_PERCENT, settings.HEALTH_WINDOW_SECONDS = (
        LEAST,
        THRESHOLD,
        WINDOW,
    )


@pytest.fixture
def numbers(db):
    """Return three numbers, in service since yesterday."""
    rows = add_numbers(3)
    yesterday = timezone.now() - timedelta(days=1)
    NumberEvent.objects.bulk_create(
        NumberEvent(number=row, old_state="configuring", new_state="active", created_at=yesterday) for row in rows
    )
    return rows

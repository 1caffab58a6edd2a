"""The fixtures of the tests of the daily budget."""

from decimal import Decimal

import pytest


@pytest.fixture(autouse=True)
def _budget(settings):
    settings.DAILY_BUDGET, settings.PRICE_ESTIMATE_EUR = Decimal(1), Decimal("0.25")


@pytest.fixture
def noon(time_machine):
    time_machine.move_to("2026-11-22T12:00:00Z", tick=True)
    return time_machine

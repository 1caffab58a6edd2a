"""Fixtures: the search is on, without pauses, and the carrier's records are scripted."""

import pytest


@pytest.fixture(autouse=True)
def _search_is_on(settings, pauses):
    settings.RECONCILE = "reports"

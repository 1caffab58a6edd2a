"""Two marketplaces that share the common pool."""

import pytest

from conversations.intake import fast_path
from tests.support.builders import add_numbers
from tests.support.services import Marketplace


@pytest.fixture(params=["fast", "general"])
def path(request, monkeypatch):
    """Take texts in by the fast path of PostgreSQL, or by the general path."""
    if request.param == "general":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    elif not fast_path.is_available():
        pytest.skip("only PostgreSQL has the fast path")


@pytest.fixture
def rides(db):
    add_numbers(6)
    return Marketplace("rides")


@pytest.fixture
def parcels(rides):
    return Marketplace("parcels")

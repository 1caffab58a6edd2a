"""The fixtures of the tests of explained routes."""

import pytest

from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk


@pytest.fixture
def to(db):
    """Return the proxy number that Alice texts to reach Bob."""
    add_numbers(3)
    return proxies(talk(ALICE, BOB, reference="order-42"))[0]

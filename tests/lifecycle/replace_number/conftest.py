"""The fixtures of the tests of replaced numbers."""

import pytest

from tests.support.builders import ALICE, BOB, add_numbers, talk


@pytest.fixture
def talking():
    """Return an open conversation of Alice and Bob, in a pool with free numbers."""
    add_numbers(4)
    return talk(ALICE, BOB)

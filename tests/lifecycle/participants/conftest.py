"""The fixtures of the tests of participants that come, go and change."""

import pytest

from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.participants import Participants


@pytest.fixture
def trio(db):
    """Return an open conversation of Alice, Bob and Charlie, in a pool with free numbers."""
    add_numbers(6)
    return talk(ALICE, BOB, CHARLIE)


@pytest.fixture
def of_trio(api, trio):
    """Return the participants of that conversation, in the API."""
    return Participants(api, trio)

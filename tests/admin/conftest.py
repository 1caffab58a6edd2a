"""What tests of the admin share."""

import pytest

from tests.support.staff_members import log_in


@pytest.fixture
def staff(client, db):
    """Return a function that signs in a member of staff with these permissions."""
    return lambda *permissions: log_in(client, *permissions)

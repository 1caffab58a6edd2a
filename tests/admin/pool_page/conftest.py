"""Staff with given rights."""

import pytest

from tests.support.staff_members import log_in

OPERATIONS = [
    "view_virtualnumber",
    "change_virtualnumber",
    "add_numberorder",
    "view_numberorder",
    "replace_virtualnumber",
    "release_virtualnumber",
]


@pytest.fixture
def staff(client, db):
    """Return a function that signs in a member of staff with these permissions, by default those of operations."""
    return lambda *permissions: log_in(client, *(permissions or OPERATIONS))

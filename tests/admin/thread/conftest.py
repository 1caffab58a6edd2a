import pytest

from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.staff_members import signed_in
from tests.support.thread_acts import BLOCK, CHANGE, DECIDE, NOTE, SEE, TEXT


@pytest.fixture
def ride(db):
    add_numbers(6)
    return talk(ALICE, BOB, reference="order-17", ttl=3600)


@pytest.fixture
def sam(db):
    return signed_in(SEE, CHANGE, DECIDE, BLOCK, TEXT, NOTE, "conversations.view_conversationnote")

"""The fixtures of the tests of pauses."""

from collections import defaultdict

import pytest
from django.utils import timezone

from tests.support.builders import add_numbers, members, talk


@pytest.fixture
def clock(time_machine):
    """Stop the clock. Return a function that moves it."""
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    return time_machine.shift


@pytest.fixture
def people(db):
    """Return six people, each with a line of their own, two on each of three virtual numbers."""
    add_numbers(3)
    of_number = defaultdict(list)
    for index in range(6):
        for person in members(talk(f"+4477008{index:05}", f"+4477007{index:05}")):
            of_number[person.proxy_number_id].append(person)
    return [person for group in of_number.values() for person in group[:2]]

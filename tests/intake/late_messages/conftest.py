"""The clock of the tests about late messages."""

import pytest
from django.utils import timezone


@pytest.fixture(autouse=True)
def _still(time_machine):
    """Stop the clock. Only `pass_time` moves it."""
    time_machine.move_to(timezone.now(), tick=False)

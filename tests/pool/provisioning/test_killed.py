"""Provisioning survives a kill at any step. tests/slow/crashes covers more steps and situations."""

import pytest

from tests.support.crash_points import plain, provision_killed_at_each_of, steps_to_try


@pytest.mark.django_db
def test_an_order_killed_at_any_step_and_resumed_buys_exactly_the_requested_numbers(rentals, steps):
    provision_killed_at_each_of(steps_to_try(plain, every=False), rentals, steps, plain)

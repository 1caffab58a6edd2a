"""A top-up that is killed anywhere and resumed buys for one shortage once, and stays within its budget."""

from decimal import Decimal
from itertools import count

import pytest

from numbers.models import NumberOrder, OrderState, VirtualNumber
from numbers.provisioning import budget
from numbers.provisioning.top_up import free_numbers, top_up_all
from tests.support.crash_points import MISHAPS, STRIDE, plain, request_is_lost, steps_to_try, world
from tests.support.fake_rental_carrier import LOST
from tests.support.top_ups import add_rule, let_time_pass, round_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("happens", MISHAPS)
def test_a_top_up_killed_at_any_step_and_resumed_buys_once_for_one_shortage(rentals, steps, happens, every_step):
    for step in steps_to_try(happens, every=every_step):
        with world(rentals, steps, happens):
            rule = add_rule()
            with steps.kill_at(step) as killed:
                top_up_all()
            assert len(rentals.account) <= 2
            for _ in range(3):
                let_time_pass()
                round_of(rule)
            assert rule.last_error == ""
            assert len(rentals.account) == len(rentals.bought) == 2
            assert free_numbers(rule) == 2
            assert NumberOrder.objects.get().state == OrderState.COMPLETE
            purchases = NumberOrder.objects.get().events.filter(reason__startswith="bought ", actor="top-up")
            assert purchases.count() == 2
            active = VirtualNumber.objects.active()
            assert {each.number for each in active} == set(rentals.account) == rentals.reaching_us()
        if not killed:
            break
    assert step > 20, "too few steps: the counting may be broken"


# Two of the five mishaps, so two fifths of the steps are tried.
@pytest.mark.parametrize("happens", [plain, request_is_lost])
def test_a_top_up_killed_at_any_step_stays_within_its_budget(rentals, steps, happens, every_step):
    for step in steps_to_try(happens, every=every_step):
        with world(rentals, steps, happens):
            rule = add_rule(target=5, monthly_budget=Decimal("2.60"))
            with steps.kill_at(step) as killed:
                top_up_all()
            assert len(rentals.account) <= 2
            for _ in range(3):
                let_time_pass()
                round_of(rule)
                assert len(rentals.account) <= 2
            assert len(rentals.bought) == 2
            assert budget.spent_this_month(rule) == Decimal("2.50")
            assert rule.last_error == "" or "the budget is used up" in rule.last_error
        if not killed:
            break
    assert step > 20


def test_a_top_up_killed_twice_at_any_steps_still_buys_once(rentals, steps, every_step):
    for first in steps_to_try(plain, every=every_step):
        # A sample of all pairs is enough, and each step is the second of some pair.
        for second in count(first // STRIDE % 10, 10):
            with world(rentals, steps, plain):
                rule = add_rule()
                with steps.kill_at(first) as killed:
                    top_up_all()
                let_time_pass()
                with steps.kill_at(second) as killed_again:
                    top_up_all()
                let_time_pass()
                assert round_of(rule) == ""
                assert len(rentals.account) == len(rentals.bought) == 2
                assert NumberOrder.objects.count() == 1
            if not killed_again:
                break
        if not killed:
            break


def test_each_number_is_bought_once_even_if_every_reply_is_lost(rentals):
    rule = add_rule(target=5, monthly_budget=Decimal("5.00"))
    rentals.fail("buy", *[LOST] * 3)

    for _ in range(4):
        let_time_pass()
        round_of(rule)

    assert len(rentals.bought) == len(rentals.account) == 4
    assert budget.spent_this_month(rule) == Decimal("5.00")

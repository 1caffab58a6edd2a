"""A top-up stays within its budget and its price cap."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from numbers.models import NumberState, TopUp, VirtualNumber
from numbers.provisioning import budget
from numbers.provisioning.release import release
from tests.support.builders import add_numbers
from tests.support.top_ups import UNREACHABLE, add_rule, offers, round_of

pytestmark = pytest.mark.django_db


def test_the_budget_can_be_spent_to_the_last_cent_and_not_exceeded(rentals):
    rule = add_rule(target=5, monthly_budget=Decimal("3.75"))

    trouble = round_of(rule)

    assert budget.spent_this_month(rule) == Decimal("3.75")
    assert len(rentals.account) == 3
    assert trouble == "3 of 5 are ours: the budget is used up (EUR 0.00 of EUR 3.75 a month is left)"


def test_a_budget_one_cent_lower_buys_one_number_fewer(rentals):
    rule = add_rule(monthly_budget=Decimal("2.49"))

    trouble = round_of(rule)

    assert len(rentals.account) == 1
    assert trouble == "1 of 2 are ours: the budget is used up (EUR 1.24 of EUR 2.49 a month is left)"


def test_the_rest_of_the_budget_buys_a_cheaper_number(rentals):
    rentals.offers = offers("1.50", "1.50", "0.50")

    round_of(add_rule(monthly_budget=Decimal("2.00")))

    assert rentals.bought == ["+447700900700", "+447700900702"]


def test_no_number_above_the_price_cap_or_of_unknown_cost_is_bought(rentals):
    rentals.offers = offers("2.01", None, "2.00")

    trouble = round_of(add_rule())

    assert rentals.bought == ["+447700900702"]
    assert trouble == (
        "1 of 2 are ours: 1 for rent costs more than EUR 2.00 a month; the carrier does not say the cost of 1 for rent"
    )


def test_a_lowered_price_cap_applies_to_the_open_order(rentals):
    rule = add_rule()
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    TopUp.objects.update(max_monthly_cost=1, retry_at=None)

    round_of(rule)

    assert rentals.account == {}


@pytest.mark.parametrize(("monthly_budget", "count"), [("1.25", 1), ("2.50", 2)])
def test_a_budget_changed_during_a_round_applies_to_the_next_number(rentals, monthly_budget, count):
    rule = add_rule(low_threshold=3, target=3, monthly_budget=Decimal("1.50"))
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(monthly_budget=monthly_budget)

    trouble = round_of(rule)

    assert len(rentals.bought) == count
    assert trouble == (
        f"{count} of 3 are ours: the budget is used up (EUR 0.00 of EUR {monthly_budget} a month is left)"
    )


def test_a_budget_cut_during_a_round_is_reported_as_overspent(rentals):
    rule = add_rule()
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(monthly_budget=1)

    trouble = round_of(rule)

    assert len(rentals.bought) == 1
    assert trouble == "1 of 2 are ours: the budget is used up (EUR -0.25 of EUR 1.00 a month is left)"


def test_the_budget_covers_all_numbers_of_a_rule_across_orders(rentals):
    rule = add_rule(monthly_budget=Decimal("3.00"))
    round_of(rule)
    VirtualNumber.objects.update(state=NumberState.QUARANTINED)

    trouble = round_of(rule)

    assert len(rentals.account) == 2
    assert trouble == "0 of 2 are ours: the budget is used up (EUR 0.50 of EUR 3.00 a month is left)"


def test_a_released_number_counts_until_the_end_of_the_month(rentals, time_machine):
    time_machine.move_to(datetime(2026, 5, 20, tzinfo=UTC), tick=False)
    rule = add_rule(monthly_budget=Decimal("2.50"))
    round_of(rule)
    for number in VirtualNumber.objects.all():
        release(number)
    time_machine.move_to(datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), tick=False)

    trouble = round_of(rule)

    assert "the budget is used up (EUR 0.00 of EUR 2.50 a month is left)" in trouble
    assert rentals.account == {}
    time_machine.move_to(datetime(2026, 6, 1, 2, tzinfo=UTC), tick=False)
    assert round_of(rule) == ""
    assert len(rentals.account) == 2


def test_a_number_bought_earlier_counts_in_the_month_of_its_release(rentals, time_machine):
    """Otherwise all numbers could be released and bought again each month, at twice the budget."""
    time_machine.move_to(datetime(2026, 5, 20, tzinfo=UTC), tick=False)
    rule = add_rule(monthly_budget=Decimal("2.50"))
    round_of(rule)
    time_machine.move_to(datetime(2026, 6, 25, tzinfo=UTC), tick=False)
    for number in VirtualNumber.objects.all():
        release(number)

    trouble = round_of(rule)

    assert "the budget is used up (EUR 0.00 of EUR 2.50 a month is left)" in trouble
    assert rentals.account == {}
    time_machine.move_to(datetime(2026, 7, 1, tzinfo=UTC), tick=False)
    assert round_of(rule) == ""
    assert len(rentals.account) == 2


def test_a_refused_purchase_costs_nothing(rentals):
    rentals.offers = offers("1.25", "1.25")
    rentals.gone = {"+447700900700"}
    rule = add_rule(low_threshold=1, target=1, monthly_budget=Decimal("1.25"))

    assert round_of(rule) == ""

    assert rentals.bought == ["+447700900701"]
    assert budget.spent_this_month(rule) == Decimal("1.25")


def test_a_released_number_is_not_bought_again_in_the_same_month(rentals, time_machine):
    """A second purchase would overwrite the cost of the first."""
    time_machine.move_to(datetime(2026, 5, 20, tzinfo=UTC), tick=False)
    rule = add_rule(low_threshold=1, target=1, monthly_budget=Decimal("2.50"))
    round_of(rule)
    release(VirtualNumber.objects.get())

    round_of(rule)

    assert rentals.bought == ["+447700900700", "+447700900701"]
    assert budget.spent_this_month(rule) == Decimal("2.50")


def test_the_trouble_says_that_only_released_numbers_are_for_rent(rentals):
    rentals.offers = offers("1.25")
    rule = add_rule(low_threshold=1, target=1)
    round_of(rule)
    release(VirtualNumber.objects.get())

    assert round_of(rule) == "0 of 1 are ours: 1 for rent was ours this month"


def test_numbers_bought_outside_the_rule_do_not_count(rentals):
    add_numbers(5)
    VirtualNumber.objects.update(monthly_cost=100, state=NumberState.DRAINING)

    assert round_of(add_rule(monthly_budget=Decimal("2.50"))) == ""

    assert len(rentals.account) == 2

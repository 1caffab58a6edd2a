"""The stock of a plan: the numbers available to new conversations, and their cost."""

from decimal import Decimal

import pytest

from numbers.models import VirtualNumber
from tests.support.builders import ALICE, add_numbers
from tests.support.history import ago, talked
from tests.support.plans import gb, plan

pytestmark = pytest.mark.django_db


def test_the_stock_is_the_numbers_available_to_new_conversations():
    draining, unable, reserved, quarantined, _ = (VirtualNumber.objects.filter(pk=each.pk) for each in add_numbers(5))
    draining.update(state="draining")
    unable.update(can_sms=False)
    reserved.update(is_reserved=True)
    quarantined.update(state="quarantined")
    assert gb().stock.numbers == 1


@pytest.mark.parametrize(("geography", "others"), [("prefer", (2, 1)), ("same-country", (0, 0)), ("any", (2, 1))])
def test_usable_numbers_of_other_countries_are_reported_but_not_counted(settings, geography, others):
    settings.NUMBER_GEOGRAPHY = geography
    add_numbers(1)
    add_numbers(1, "US", start="+12125550")
    add_numbers(1, "CA", start="+14165550")
    found = {each.country: each.stock for each in plan().countries}
    assert (found["GB"].others, found["US"].others) == others
    assert {stock.numbers for stock in found.values()} == {1}


def test_the_plan_states_the_cost_and_the_numbers_to_buy():
    rows = add_numbers(3)
    for row, cost in zip(rows, ["1.00", "1.50", None], strict=True):
        VirtualNumber.objects.filter(pk=row.pk).update(monthly_cost=cost)
    for _ in range(5):
        talked(ALICE, ago(1))
    country = gb()

    assert (country.stock.monthly_cost, country.stock.unknown_costs) == (Decimal("2.50"), 1)
    assert country.stock.cost_of(country.needs.numbers) == Decimal("6.25")
    assert (country.to_buy, country.stock.cost_of(country.to_buy)) == (2, Decimal("2.50"))


def test_zero_numbers_cost_zero_even_without_known_prices():
    add_numbers(1)
    assert (gb().to_buy, gb().stock.cost_of(0), gb().stock.cost_of(1)) == (0, 0, None)

"""A purchase stays within its approval: only shown numbers, at no higher cost."""

from decimal import Decimal

import pytest

from numbers.models import NumberOrder, OrderState
from numbers.provisioning.order import Approval, OrderSpec, find_or_open_order, fulfil, order_for, plan
from smsproxy.carriers.base import OutcomeUnknown
from tests.support.fake_rental_carrier import LOST, offer
from tests.support.orders import TWO, pool, run

pytestmark = pytest.mark.django_db


def test_a_number_above_the_limit_or_of_unknown_cost_is_not_bought(rentals):
    rentals.offers = [offer("+447700900701", "1.51"), offer("+447700900702", None), offer("+447700900703", "1.50")]

    order, _ = run(OrderSpec(country="GB", count=3, max_monthly_cost=Decimal("1.50")))

    assert order.state == OrderState.SHORT
    assert rentals.bought == ["+447700900703"]


def offers(*costs, start=0):
    return [offer(f"+4477009007{start + index:02}", cost) for index, cost in enumerate(costs)]


@pytest.mark.parametrize(
    ("shown", "offered", "bought"),
    [
        ([], ["500.00"], []),
        (["1.25"], ["1.25", "1.25", "1.25"], ["1.25"]),
        (["1.00"], ["900.00", "1.01", "0.99"], ["0.99"]),
        (["1.00", None], ["900.00", "1.00"], ["1.00"]),
        (["1.00", None], ["1.00", None, None], ["1.00", None]),
        ([None], ["0.01", None], [None]),
        (["1.00", "9.00"], ["9.00", "9.00", "0.50"], ["9.00", "0.50"]),
        (["9.00", "1.00"], ["1.00", "9.00", "1.00"], ["1.00", "9.00"]),
        (["9.00", "1.00"], ["5.00", "6.00", "5.00"], ["5.00", "5.00"]),
        (["1.00", None], [None, "0.60", "0.40"], [None, "0.60"]),
    ],
)
def test_a_purchase_exceeds_neither_the_approved_count_nor_the_approved_costs(rentals, shown, offered, bought):
    rentals.offers = offers(*offered)
    order = find_or_open_order(OrderSpec(country="GB", count=3))

    list(fulfil(order, approval=Approval.of([Decimal(cost) if cost else None for cost in shown])))

    costs = [
        str(cost) if cost else None for cost in order.numbers.order_by("pk").values_list("monthly_cost", flat=True)
    ]
    assert costs == bought
    assert set(rentals.bought) == pool()
    assert order.state == OrderState.OPEN


def test_a_refused_number_is_replaced_only_by_one_as_cheap(rentals):
    rentals.offers = offers("1.00", "9.00", "1.00")
    order = find_or_open_order(OrderSpec(country="GB", count=1))
    shown = plan(order).approval
    rentals.gone.add("+447700900700")

    list(fulfil(order, approval=shown))

    assert rentals.bought == ["+447700900702"]
    assert order.state == OrderState.COMPLETE


def test_an_approved_number_of_unknown_cost_lifts_no_limit(rentals):
    rentals.offers = offers("1.00", None, "900.00")
    order = find_or_open_order(TWO)
    shown = plan(order).approval
    rentals.gone.add("+447700900700")

    list(fulfil(order, approval=shown))

    assert rentals.bought == ["+447700900701"]


def test_an_order_with_an_unapproved_rest_stays_open_for_the_next_run(rentals):
    rentals.offers = offers("1.25")
    order = find_or_open_order(TWO)
    shown = plan(order).approval
    rentals.offers += offers("1.25", start=1)

    list(fulfil(order, approval=shown))
    assert (order.state, rentals.bought) == (OrderState.OPEN, ["+447700900700"])
    list(fulfil(order, approval=plan(order).approval))

    assert order.state == OrderState.COMPLETE


def test_an_order_ends_short_if_the_carrier_has_no_more_numbers(rentals):
    rentals.offers = offers("1.25")
    order = find_or_open_order(TWO)

    list(fulfil(order, approval=plan(order).approval))

    assert order.state == OrderState.SHORT


def test_an_unknown_purchase_is_settled_even_without_an_approved_number(rentals):
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))
    with pytest.raises(OutcomeUnknown):
        run()

    order, _ = run(approval=Approval.of([]))

    assert pool() == set(rentals.account) == {"+447700900700"}
    assert order.state == OrderState.OPEN


@pytest.mark.parametrize(("is_gone", "bought"), [(False, ["+447700900700"]), (True, ["+447700900702"])])
def test_an_unknown_purchase_counts_towards_the_approval(rentals, is_gone, bought):
    """The plan shows the unknown purchase. Either it or one as cheap is bought, not both."""
    rentals.fail("buy", *[OutcomeUnknown("no answer")] * 4)
    with pytest.raises(OutcomeUnknown):
        run()
    rentals.offers = offers("1.25")
    order = order_for(TWO)
    shown = plan(order).approval
    rentals.offers += offers("9.00", "1.25", "1.25", start=1)
    if is_gone:
        rentals.gone.add("+447700900700")

    list(fulfil(order, approval=shown))

    assert shown == Approval.of([Decimal("1.25")])
    assert rentals.bought == bought


def test_without_an_approval_the_limits_of_the_order_hold(rentals):
    rentals.offers = offers("900.00", None)

    order, _ = run()

    assert order.state == OrderState.COMPLETE


def test_a_plan_shows_what_will_be_bought_and_buys_nothing(rentals):
    shown = plan(order_for(OrderSpec(country="GB", count=12)))

    assert [each.number for each in shown.candidates] == [each.number for each in rentals.offers]
    assert shown.missing == 2
    assert rentals.account == {}
    assert not NumberOrder.objects.exists()

"""A top-up that cannot buy reports the trouble, backs off and resumes."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone as clock

from numbers.models import NumberOrder, OrderState, TopUp, VirtualNumber
from numbers.provisioning import budget, top_up
from numbers.provisioning.sync import sync
from numbers.provisioning.top_up import free_numbers, top_up_all
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, PermanentFailure
from tests.support.builders import add_numbers
from tests.support.fake_rental_carrier import LOST, offer
from tests.support.outbox import later
from tests.support.top_ups import UNREACHABLE, add_rule, let_time_pass, offers, round_of

pytestmark = pytest.mark.django_db


def test_a_top_up_without_offers_reports_it_and_retries_in_an_hour(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rentals.offers = offers("1.25")
    rule = add_rule()

    assert round_of(rule) == "1 of 2 are ours: the carrier has no more"

    assert rule.retry_at == clock.now() + timedelta(hours=1)
    assert NumberOrder.objects.get().state == OrderState.SHORT
    rentals.offers += [offer("+447700900799")]
    later(time_machine, 3500)
    assert round_of(rule) == "1 of 2 are ours: the carrier has no more"
    assert NumberOrder.objects.count() == 1
    later(time_machine, 200)
    assert round_of(rule) == ""
    assert rule.retry_at is None
    assert len(rentals.account) == 2


def test_a_rule_that_keeps_buying_nothing_backs_off(rentals, time_machine):
    """Each attempt opens an order that staff see."""
    time_machine.move_to(clock.now(), tick=False)
    rule = add_rule(monthly_budget=Decimal(1))
    pauses = []

    for _ in range(5):
        assert "the budget is used up" in round_of(rule)
        pauses.append((rule.retry_at - clock.now()) / timedelta(hours=1))
        time_machine.move_to(rule.retry_at, tick=False)
    TopUp.objects.update(monthly_budget=100)
    assert round_of(rule) == ""
    VirtualNumber.objects.update(is_reserved=True)
    TopUp.objects.update(monthly_budget=1)
    assert "the budget is used up" in round_of(rule)
    pauses.append((rule.retry_at - clock.now()) / timedelta(hours=1))

    assert pauses == [1, 2, 4, 6, 6, 1]


def test_old_orders_do_not_lengthen_the_backoff(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rentals.offers = []
    rule = add_rule()
    for _ in range(4):
        round_of(rule)
        time_machine.move_to(rule.retry_at, tick=False)
    add_numbers(2)
    assert round_of(rule) == ""
    time_machine.move_to(clock.now() + timedelta(days=90), tick=False)
    VirtualNumber.objects.update(is_reserved=True)

    round_of(rule)

    assert rule.retry_at == clock.now() + timedelta(hours=1)


def test_a_long_open_order_that_ends_short_backs_off_for_an_hour(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rule = add_rule()
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    time_machine.move_to(clock.now() + timedelta(days=2), tick=False)
    rentals.offers = []

    assert "the carrier has no more" in round_of(rule)

    assert rule.retry_at == clock.now() + timedelta(hours=1)


def test_an_order_opened_concurrently_is_tolerated(rentals):
    rule = add_rule()
    order = {"country": "GB", "count": 1, "features": "SMS", "pattern_place": "anywhere", "top_up": rule}
    NumberOrder.objects.create(**order, state=OrderState.SHORT)
    NumberOrder.objects.create(**order)

    assert top_up._pause_after_short(rule) == timedelta(hours=1)


def test_a_rule_changed_during_its_search_is_retried_at_once(rentals):
    rule = add_rule(max_monthly_cost=Decimal(1))
    rentals.at_step = lambda name: name == "before search" and TopUp.objects.update(max_monthly_cost=Decimal("1.25"))

    assert "cost more than" in round_of(rule)

    assert rule.retry_at is None
    assert round_of(rule) == ""
    assert len(rentals.bought) == 2


def test_the_trouble_ends_when_the_reserve_is_sufficient(rentals):
    rentals.offers = []
    rule = add_rule()
    assert round_of(rule) == "0 of 2 are ours: the carrier has no more"

    add_numbers(2)

    assert round_of(rule) == ""
    assert rule.retry_at is None


def test_refusals_are_reported(rentals):
    rentals.offers = offers("1.25", "1.25")
    rentals.gone = {"+447700900700", "+447700900701"}

    assert round_of(add_rule()) == "0 of 2 are ours: 2 were refused"


def test_a_country_whose_numbers_are_all_refused_is_retried_in_an_hour(rentals):
    rentals.offers = offers(*["1.25"] * 30)
    rentals.gone = {each.number for each in rentals.offers}
    rule = add_rule()

    assert round_of(rule).startswith("0 of 2 are ours: the carrier refused 20 numbers in a row, the last because: ")

    assert NumberOrder.objects.get().state == OrderState.SHORT
    assert rule.retry_at > clock.now() + timedelta(minutes=59)


def test_an_unreachable_carrier_leaves_the_order_open_for_a_retry_in_a_minute(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rule = add_rule()
    rentals.fail("search", *[UNREACHABLE] * 4)

    assert round_of(rule) == "carrier error: the carrier is unreachable"

    assert rule.retry_at == clock.now() + timedelta(minutes=1)
    assert NumberOrder.objects.get().state == OrderState.OPEN
    later(time_machine, 50)
    calls = len(rentals.calls)
    round_of(rule)
    assert len(rentals.calls) == calls
    later(time_machine, 20)
    assert round_of(rule) == ""
    assert NumberOrder.objects.get().state == OrderState.COMPLETE
    assert len(rentals.account) == 2


def test_a_resumed_order_buys_only_the_numbers_still_missing(rentals):
    rule = add_rule(target=5)
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    add_numbers(5)
    let_time_pass()

    assert round_of(rule) == ""

    assert rentals.bought == []
    order = NumberOrder.objects.get()
    assert order.state == OrderState.SHORT
    assert order.events.first().reason == "0 of 5 are ours: fewer numbers are missing now"


def test_an_outdated_order_is_followed_by_one_for_the_rest(rentals):
    rule = add_rule(low_threshold=5, target=5)
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    add_numbers(3)
    let_time_pass()

    assert round_of(rule) == ""

    assert len(rentals.bought) == 2
    assert free_numbers(rule) == 5
    assert list(rule.orders.order_by("pk").values_list("count", "state")) == [(5, "short"), (2, "complete")]


def test_an_unknown_purchase_of_an_oversized_order_is_settled(rentals):
    rule = add_rule(target=5)
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))
    round_of(rule)
    add_numbers(5)
    let_time_pass()

    assert round_of(rule) == ""

    assert rentals.bought == ["+447700900700"]
    assert rentals.reaching_us() == set(rentals.account)
    assert rule.orders.get().state == OrderState.SHORT


@pytest.mark.parametrize("fault", [AccountFault("no credit"), PermanentFailure("this country is not for rent")])
def test_each_carrier_error_is_reported_with_its_detail(rentals, fault):
    rentals.fail("search", fault)

    assert fault.detail in round_of(add_rule())


def test_a_purchase_with_a_lost_reply_is_made_once(rentals):
    rule = add_rule()
    rentals.fail("buy", LOST)
    rentals.fail("owned", *[OutcomeUnknown("no answer")])

    assert "no answer" in round_of(rule)
    let_time_pass()
    assert round_of(rule) == ""

    assert len(rentals.bought) == len(rentals.account) == 2


def test_a_purchase_settled_by_a_sync_is_recorded_as_an_event_of_the_order(rentals):
    rule = add_rule(low_threshold=1, target=1)
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))
    round_of(rule)

    list(sync())

    purchases = rule.orders.get().events.filter(actor="top-up", reason__startswith="bought ")
    assert purchases.get().reason == "bought +447700900700: 1 of 1, EUR 1.25 a month"
    let_time_pass()
    assert round_of(rule) == ""
    assert purchases.count() == len(rentals.bought) == 1


def test_an_unknown_purchase_counts_against_the_budget(rentals):
    rule = add_rule(monthly_budget=Decimal("1.25"))
    rentals.fail("buy", *[OutcomeUnknown("no answer")] * 4)

    round_of(rule)

    assert budget.spent_this_month(rule) == Decimal("1.25")


def test_an_unknown_purchase_is_settled_even_if_its_cost_became_unknown(rentals):
    """A CSV import can clear the cost."""
    rule = add_rule(low_threshold=1, target=1)
    rentals.fail("buy", *[OutcomeUnknown("no answer")] * 4)
    round_of(rule)
    VirtualNumber.objects.update(monthly_cost=None)
    assert budget.spent_this_month(rule) == Decimal("2.00")  # The price cap of the rule.
    let_time_pass()

    assert round_of(rule) == ""

    assert len(rentals.account) == VirtualNumber.objects.active().count() == 1
    purchase = NumberOrder.objects.get().events.get(reason__startswith="bought ")
    assert purchase.reason == "bought +447700900700: 1 of 1, at an unknown cost"


def test_unconfigured_numbers_are_retried_and_not_bought_again(rentals):
    rule = add_rule()
    rentals.fail("configure", *[PermanentFailure("the address does not answer")] * 3)

    trouble = round_of(rule)
    assert trouble == "2 bought numbers do not reach us yet: does PUBLIC_URL answer from outside?"
    let_time_pass()
    round_of(rule)
    let_time_pass()
    assert round_of(rule) == ""

    assert len(rentals.bought) == 2
    assert VirtualNumber.objects.active().count() == 2


def test_an_error_in_one_rule_does_not_block_the_others(rentals, monkeypatch, caplog):
    add_rule(country="DE")
    add_rule()
    real = top_up.numbers_to_buy
    monkeypatch.setattr(top_up, "numbers_to_buy", lambda rule: 1 / 0 if rule.country == "DE" else real(rule))

    top_up_all()

    assert len(rentals.account) == 2
    assert "top-up of common, DE failed: ZeroDivisionError" in caplog.text
    assert TopUp.objects.get(country="DE").last_error == "an unexpected ZeroDivisionError, see the log"

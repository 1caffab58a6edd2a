"""A worker carries out the orders of staff: never for more than they agreed to, and it goes on after each error."""

import threading
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.management import call_command

from conversations.worker.order_thread import OrderThread, wake_for_orders, wanted
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberOrder, OrderState, VirtualNumber
from numbers.provisioning import staff_order
from numbers.provisioning.order import OrderSpec, order_for
from numbers.provisioning.staff_order import Offer, carry_out_all, place, stuck_orders
from smsproxy.carriers.base import PermanentFailure, TemporaryFailure
from tests.support.fake_rental_carrier import LOST, offer
from tests.support.relay_process import wait_until
from tests.support.top_ups import offers

pytestmark = pytest.mark.django_db

UNREACHABLE = TemporaryFailure("the carrier is unreachable")


def order_of(*costs, **fields):
    """Place an order for numbers of these prices, as staff do."""
    shown = [
        Offer(number=f"+4477009007{index:02}", type="mobile", monthly_cost=Decimal(cost))
        for index, cost in enumerate(costs)
    ]
    spec = OrderSpec(country="GB", count=len(costs), **fields)
    return place(spec, shown, token=uuid4(), reason="for the test", actor="sam")[0]


def carry_out(order):
    """Run one round of a worker, as if the time of the next attempt had come."""
    NumberOrder.objects.update(retry_at=None)
    carry_out_all()
    order.refresh_from_db()
    return order.state


def test_a_worker_buys_and_configures_what_staff_ordered(rentals):
    order = order_of("1.25", "1.25")

    assert carry_out(order) == OrderState.COMPLETE

    assert rentals.reaching_us() == set(rentals.bought) == {"+447700900700", "+447700900701"}
    assert order.events.filter(reason__startswith="bought ", actor="sam").count() == 2
    assert (order.busy_until, order.last_error) == (None, "")


def test_relay_once_carries_out_orders(rentals):
    order = order_of("1.25")

    call_command("relay", "--once")

    order.refresh_from_db()
    assert order.state == OrderState.COMPLETE


def test_an_order_pays_no_more_for_a_number_than_the_dearest_that_staff_saw(rentals):
    order = order_of("1.00", "1.20")
    rentals.offers = offers("1.00", "1.30", "1.50")

    assert carry_out(order) == OrderState.SHORT

    assert rentals.bought == ["+447700900700"]
    assert "2 for rent cost more than EUR 1.20 a month" in order.events.first().reason


def test_an_order_pays_no_more_in_total_than_staff_agreed_to(rentals):
    order = order_of("1.00", "1.20")
    rentals.offers = offers("1.20", "1.20", "1.00")

    assert carry_out(order) == OrderState.COMPLETE
    assert rentals.bought == ["+447700900700", "+447700900702"]


def test_an_order_ends_short_when_the_rest_exceeds_the_agreed_total(rentals):
    order = order_of("1.00", "1.20")
    rentals.offers = offers("1.20", "1.20")

    assert carry_out(order) == OrderState.SHORT
    assert "1 for rent would exceed the EUR 2.20 a month that was agreed to" in order.events.first().reason


def test_numbers_of_unknown_cost_are_not_bought(rentals):
    order = order_of("1.00")
    rentals.offers = offers(None)

    assert carry_out(order) == OrderState.SHORT
    assert rentals.bought == []


def test_after_an_error_the_order_stays_open_waits_and_goes_on(rentals):
    order = order_of("1.25", "1.25")
    rentals.fail("buy", None, *[UNREACHABLE] * 4)

    assert carry_out(order) == OrderState.OPEN

    assert order.last_error == "carrier error: the carrier is unreachable"
    assert order.retry_at
    calls = len(rentals.calls)
    carry_out_all()
    assert len(rentals.calls) == calls
    assert carry_out(order) == OrderState.COMPLETE
    assert len(rentals.bought) == 2


def test_a_purchase_whose_answer_was_lost_is_not_repeated(rentals):
    order = order_of("1.25", "1.25")
    rentals.fail("buy", LOST)

    assert carry_out(order) == OrderState.COMPLETE
    assert len(rentals.account) == len(rentals.bought) == 2


def test_a_carrier_that_refuses_everything_ends_the_order(rentals):
    order = order_of("1.25")
    rentals.offers = [offer(f"+4477009007{index:02}") for index in range(30)]
    rentals.fail("buy", *[PermanentFailure("an address is needed")] * 30)

    assert carry_out(order) == OrderState.SHORT
    assert "an address is needed" in order.events.first().reason


def test_a_number_that_is_bought_and_does_not_reach_us_is_configured_later(rentals):
    order = order_of("1.25")
    rentals.fail("configure", PermanentFailure("the webhook does not answer"))

    assert carry_out(order) == OrderState.COMPLETE
    assert "does PUBLIC_URL answer from outside?" in order.last_error

    carry_out(order)
    assert order.last_error == ""
    assert rentals.reaching_us() == set(rentals.bought)


def test_two_workers_do_not_work_on_one_order(rentals):
    order = order_of("1.25", "1.25")
    rounds = []

    def another_worker(step):
        if step == "before buy" and not rounds:
            rounds.append(step)
            before = len(rentals.calls)
            carry_out_all()
            assert len(rentals.calls) == before

    rentals.at_step = another_worker

    assert carry_out(order) == OrderState.COMPLETE
    assert rounds


def test_an_order_stopped_during_a_purchase_keeps_that_number_and_buys_no_other(rentals):
    order = order_of("1.25", "1.25")

    def stop(step):
        if step == "after buy":
            NumberOrder.objects.get(pk=order.pk).stop(reason="too many", actor="kim")

    rentals.at_step = stop

    assert carry_out(order) == OrderState.ABANDONED

    assert len(rentals.bought) == 1
    assert rentals.reaching_us() == set(rentals.bought)
    assert order.events.first().actor == "kim"


def test_an_order_with_a_purchase_in_doubt_is_settled_before_it_is_given_up(rentals):
    order = order_of("1.25", "1.25")
    rentals.fail("buy", *[LOST] * 4)
    rentals.fail("owned", *[UNREACHABLE] * 40)
    carry_out(order)
    rentals.scripts.clear()
    order.stop(reason="too many", actor="kim")

    assert carry_out(order) == OrderState.ABANDONED
    assert VirtualNumber.objects.active().count() == len(rentals.account) == 1


def test_a_failure_of_one_order_is_shown_and_does_not_stop_the_others(rentals, monkeypatch, caplog):
    broken, fine = order_of("1.25"), order_of("1.25")
    real = staff_order._work_on
    monkeypatch.setattr(staff_order, "_work_on", lambda order: 1 / 0 if order.pk == broken.pk else real(order))

    carry_out(fine)
    broken.refresh_from_db()

    assert fine.state == OrderState.COMPLETE
    assert broken.last_error == "an unexpected ZeroDivisionError, see the log"


def test_the_command_does_not_take_up_an_order_of_staff(rentals):
    order = order_of("1.25")
    spec = OrderSpec(country="GB", count=1, max_monthly_cost=Decimal("1.25"))

    assert order_for(spec)._state.adding
    assert NumberOrder.objects.get() == order


# In the worker --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_worker_wakes_when_an_order_is_due_and_stops_at_once(rentals):
    stop = threading.Event()
    thread = OrderThread(stop)
    thread.start()
    order = order_of("1.25")

    run_jobs([wake_for_orders])
    wait_until(lambda: NumberOrder.objects.get(pk=order.pk).state == OrderState.COMPLETE)
    stop.set()
    thread.join(60)

    assert not thread.is_alive()


def test_the_worker_is_not_woken_without_an_order(rentals):
    wanted.clear()
    order = order_of("1.25")
    carry_out(order)

    run_jobs([wake_for_orders])

    assert not wanted.is_set()


def test_an_order_that_cannot_go_on_is_stuck_until_it_can(rentals):
    order = order_of("1.25")
    rentals.fail("search", *[UNREACHABLE] * 4)

    carry_out(order)
    assert list(stuck_orders()) == [order]

    carry_out(order)
    assert list(stuck_orders()) == []

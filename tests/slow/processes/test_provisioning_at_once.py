"""Concurrent runs of the same order buy no more than was ordered."""

import threading
from contextlib import suppress

import pytest
from django.db import connection

from numbers.models import NumberOrder, NumberState, OrderState, VirtualNumber
from numbers.provisioning import order as order_module
from numbers.provisioning.order import OrderSpec, close_order, find_or_open_order, fulfil
from numbers.provisioning.step import StepKind
from tests.support.orders import pool, run

pytestmark = pytest.mark.django_db


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_concurrent_runs_of_one_order_buy_no_more_than_was_ordered(rentals, round_):
    rentals.gone.update({"+447700900701", "+447700900703"})
    runs, spec = 6, OrderSpec(country="GB", count=5)
    start = threading.Barrier(runs)
    failures = []

    def work():
        try:
            start.wait(60)
            list(fulfil(find_or_open_order(spec)))
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    order = NumberOrder.objects.get()
    assert order.state == OrderState.COMPLETE
    assert len(rentals.account) == 5
    assert pool() == set(rentals.account) == rentals.reaching_us()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_runs_that_count_at_once_do_not_both_buy_the_last_number(rentals, monkeypatch):
    """Each run waits between its count and its insert for the other to count too, which the lock prevents."""
    order = find_or_open_order(OrderSpec(country="GB", count=1))
    both_have_counted = threading.Barrier(2)
    count = order_module._has_room
    intended, failures = [], []

    def count_and_wait(order):
        has_room = count(order)
        with suppress(threading.BrokenBarrierError):
            both_have_counted.wait(2)
        return has_room

    monkeypatch.setattr(order_module, "_has_room", count_and_wait)

    def work(candidate):
        try:
            intended.append(order_module._record_intent(order, candidate))
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[candidate]) for candidate in rentals.offers[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert len([number for number in intended if number]) == order.numbers.count() == 1


def test_an_order_stays_open_while_another_run_is_still_buying_for_it(rentals):
    """Otherwise the other run's numbers would belong to an order that has ended, and nothing would complete them."""
    order = find_or_open_order(OrderSpec(country="GB", count=2))
    number = order_module._record_intent(order, rentals.offers[0])

    close_order(order, "the carrier has no more")
    assert order.state == OrderState.OPEN
    number.transition(NumberState.RETIRED, reason="refused")
    close_order(order, "the carrier has no more")

    assert order.state == OrderState.SHORT


def reject_in_another_run(rentals, *, then=lambda: None):
    """Let another run of the order be rejected right after the next purchase, and give the number up."""

    def another_run(name):
        if name == "after buy":
            rentals.at_step = lambda name: None
            VirtualNumber.objects.get(number=rentals.bought[0]).transition(NumberState.RETIRED, reason="refused")
            then()

    rentals.at_step = another_run


def test_a_number_found_to_be_bought_counts_for_its_order_again(rentals):
    reject_in_another_run(rentals)

    order, steps = run(OrderSpec(country="GB", count=1))

    assert order.state == OrderState.COMPLETE
    assert pool() == set(rentals.account) == {"+447700900700"}
    assert steps[0].detail == ""


def test_a_surplus_number_is_kept_counted_and_reported(rentals):
    order = find_or_open_order(OrderSpec(country="GB", count=1))
    reject_in_another_run(rentals, then=lambda: list(fulfil(order)))

    steps = list(fulfil(NumberOrder.objects.get()))

    assert pool() == set(rentals.account) == {"+447700900700", "+447700900701"}
    assert steps[0].kind == StepKind.BOUGHT
    assert steps[0].detail == "beyond the 1 asked for: another run has filled its place"
    events = VirtualNumber.objects.get(number="+447700900700").events.values_list("reason", flat=True)
    assert f"purchase confirmed late, {steps[0].detail}" in events
    assert order.numbers.rented().count() == 2

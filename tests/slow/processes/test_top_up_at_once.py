"""Concurrent workers with the same rule buy no more than is missing, and spend no more than the budget.

Normally a lease keeps them apart. These tests disable it.
"""

import threading
from contextlib import suppress
from decimal import Decimal

import pytest
from django.db import connection

from numbers.models import NumberOrder, TopUp
from numbers.provisioning import budget
from numbers.provisioning import order as order_module
from numbers.provisioning import top_up as top_up_module
from numbers.provisioning.top_up import free_numbers, top_up
from tests.support.orders import pool
from tests.support.top_ups import add_rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

WORKERS = 6


@pytest.fixture
def no_lease(monkeypatch):
    monkeypatch.setattr(top_up_module, "_hold", lambda rule, rules: True)


def all_at_once(work, arguments):
    start = threading.Barrier(len(arguments))
    failures = []

    def run(argument):
        try:
            start.wait(60)
            work(argument)
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[argument]) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def workers_at(rule):
    all_at_once(top_up, [TopUp.objects.get(pk=rule.pk) for _ in range(WORKERS)])


@pytest.mark.parametrize("round_", range(5))
def test_concurrent_workers_buy_no_more_than_is_missing(rentals, no_lease, round_):
    rentals.gone.update({"+447700900701", "+447700900703"})
    rule = add_rule(target=5)

    workers_at(rule)

    assert free_numbers(rule) == 5
    assert NumberOrder.objects.count() == 1
    assert pool() == set(rentals.account) == rentals.reaching_us()
    assert len(rentals.bought) == 5


@pytest.mark.parametrize("round_", range(5))
def test_concurrent_workers_spend_no_more_than_the_budget(rentals, no_lease, round_):
    rentals.gone.add("+447700900701")
    rule = add_rule(target=8, monthly_budget=Decimal("4.99"))

    workers_at(rule)

    assert len(rentals.bought) == len(rentals.account) == 3
    assert budget.spent_this_month(rule) == Decimal("3.75")


def test_two_workers_that_check_the_budget_at_once_do_not_both_spend_the_rest(rentals, monkeypatch):
    """Each worker waits between its count and its insert for the other to count too, which the lock prevents."""
    rule = add_rule(monthly_budget=Decimal("1.25"))
    order = top_up_module._order_to_fulfil(rule)
    assert order
    both_have_counted = threading.Barrier(2)
    count = budget.obstacle

    def count_and_wait(order, candidate):
        found = count(order, candidate)
        with suppress(threading.BrokenBarrierError):
            both_have_counted.wait(2)
        return found

    monkeypatch.setattr(budget, "obstacle", count_and_wait)

    all_at_once(lambda candidate: order_module._record_intent(order, candidate), rentals.offers[:2])

    assert order.numbers.count() == 1
    assert budget.spent_this_month(rule) == Decimal("1.25")


def test_only_one_worker_takes_a_rule(rentals):
    rule = add_rule()
    taken = []

    all_at_once(lambda rule: taken.append(top_up_module._take(rule)), [TopUp.objects.get(pk=rule.pk) for _ in range(6)])

    assert sorted(taken) == [False] * 5 + [True]

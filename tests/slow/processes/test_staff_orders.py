"""Workers that are killed while they carry out an order of staff neither buy twice nor leave it."""

import signal
import threading
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection

from numbers.models import NumberOrder, OrderState, VirtualNumber
from numbers.provisioning.order import OrderSpec
from numbers.provisioning.staff_order import Offer, place
from smsproxy.simulator.models import SimulatedFault, SimulatedNumber
from tests.support.demo_process import PATIENCE
from tests.support.relay_process import Relays, wait_until
from tests.support.stub_carrier import StubCarrier

pytestmark = [pytest.mark.xdist_group("servers"), pytest.mark.postgres]

# Code for a worker process: frequent rounds and slow purchases, so that a kill hits a purchase. At MOST rented numbers
# it stops buying until it is killed.
IN_A_HURRY = """
import time
from datetime import timedelta
from conversations.worker import periodic_jobs
from numbers.provisioning import staff_order
from smsproxy.simulator.carrier import SimulatorCarrier as Simulator
from smsproxy.simulator.models import SimulatedNumber
periodic_jobs.INTERVAL = 0.1
periodic_jobs.JOBS = [job for job in periodic_jobs.JOBS if job.__name__ != "wake_for_orders"]
periodic_jobs.JOBS.append(periodic_jobs.wake_for_orders)
staff_order.LEASE = timedelta(seconds=2)
buy = Simulator.buy
def slowly(self, *number):
    while SimulatedNumber.objects.count() >= MOST:
        time.sleep(0.1)
    time.sleep(0.05)
    buy(self, *number)
    time.sleep(0.05)
Simulator.buy = slowly
"""


@pytest.fixture
def relays(transactional_db, tmp_path):
    with StubCarrier(tmp_path) as stub, Relays(tmp_path, stub, CARRIER="simulator") as relays:
        yield relays


def order_of(count, cost="3.00"):
    offers = [Offer(number=f"+4477009007{index:02}", type="", monthly_cost=Decimal(cost)) for index in range(count)]
    spec = OrderSpec(country="GB", count=count)
    return place(spec, offers, token=uuid4(), reason="for the test", actor="sam")[0]


def test_a_form_sent_many_times_at_once_places_one_order(transactional_db):
    token, senders = uuid4(), 6
    start = threading.Barrier(senders)
    placed = []

    def send():
        start.wait(60)
        offers = [Offer(number="one", type="", monthly_cost=Decimal("1.00"))]
        spec = OrderSpec(country="GB", count=1)
        placed.append(place(spec, offers, token=token, reason="for the test", actor="sam"))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    order = NumberOrder.objects.get()
    assert [each for each, _ in placed] == [order] * senders
    assert [is_new for _, is_new in placed].count(True) == 1
    assert order.events.count() == 1


def test_repeatedly_killed_workers_buy_exactly_what_staff_ordered(relays):
    order = order_of(12)
    SimulatedFault.objects.create(verb="buy", kind="lost_reply", remaining=2)

    for rented in (2, 5, 8):
        process = relays.start(changes=f"{IN_A_HURRY}\nMOST = {rented + 2}")
        wait_until(lambda rented=rented: SimulatedNumber.objects.count() >= rented)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert SimulatedNumber.objects.count() < 12
    last = relays.start(changes=f"{IN_A_HURRY}\nMOST = 100")
    wait_until(lambda: NumberOrder.objects.get().state == OrderState.COMPLETE)
    wait_until(lambda: VirtualNumber.objects.active().count() == 12)
    last.send_signal(signal.SIGTERM)

    assert last.wait(PATIENCE) == 0
    assert SimulatedNumber.objects.count() == 12
    order.refresh_from_db()
    assert sum(SimulatedNumber.objects.values_list("monthly_cost", flat=True)) <= order.agreed_total


def test_two_workers_share_the_orders_of_staff_and_buy_each_once(relays):
    orders = [order_of(3), order_of(4)]

    for process in [relays.start(changes=f"{IN_A_HURRY}\nMOST = 100") for _ in range(2)]:
        relays.wait_for(process)
    wait_until(lambda: not NumberOrder.objects.filter(state=OrderState.OPEN).exists())

    assert SimulatedNumber.objects.count() == 7
    assert [order.numbers.rented().count() for order in orders] == [3, 4]

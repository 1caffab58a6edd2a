"""The worker tops up the pools once a minute in a thread of its own, and survives failures and kills."""

import signal
import threading
import time
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import OperationalError

from conversations.worker import top_up_thread
from conversations.worker.top_up_thread import TopUpThread
from numbers.models import NumberOrder, OrderState, TopUp, VirtualNumber
from numbers.provisioning import retry
from numbers.provisioning.retry import ShutdownRequested, search, stop_on, with_retries
from numbers.provisioning.top_up import top_up_all
from smsproxy.carriers.base import TemporaryFailure
from smsproxy.simulator.models import SimulatedFault, SimulatedNumber
from tests.support.demo_process import PATIENCE
from tests.support.relay_process import Relays, wait_until
from tests.support.stub_carrier import StubCarrier
from tests.support.top_ups import add_rule

# Code for a worker process: frequent rounds and slow purchases, so that a kill hits a purchase. At MOST rented numbers
# it stops buying until it is killed.
IN_A_HURRY = """
import time
from datetime import timedelta
from conversations.worker import top_up_thread
from numbers.provisioning import top_up
from smsproxy.simulator.carrier import SimulatorCarrier as Simulator
from smsproxy.simulator.models import SimulatedNumber
top_up_thread.EVERY = 0.1
top_up.TOP_UP_LEASE = timedelta(seconds=5)
buy = Simulator.buy
def slowly(self, *number):
    while SimulatedNumber.objects.count() >= MOST:
        time.sleep(0.1)
    time.sleep(0.05)
    buy(self, *number)
    time.sleep(0.05)
Simulator.buy = slowly
"""


@pytest.mark.django_db
def test_relay_once_runs_one_top_up_round(rentals):
    add_rule()

    call_command("relay", "--once")

    assert len(rentals.account) == 2


@pytest.mark.django_db(transaction=True)
class TestTheThread:
    @pytest.fixture
    def start(self, monkeypatch):
        """Return the start method of a top-up thread with frequent rounds. It stops with the test."""
        monkeypatch.setattr(top_up_thread, "EVERY", 0.01)
        stop = threading.Event()
        thread = TopUpThread(stop)
        yield thread.start
        stop.set()
        thread.join(60)
        assert not thread.is_alive()

    def test_a_failed_round_is_logged_by_exception_type_and_retried(self, rentals, start, monkeypatch, caplog):
        failures = iter([OperationalError("+447700900001")])

        def fail_once():
            if failure := next(failures, None):
                raise failure
            top_up_all()

        monkeypatch.setattr(top_up_thread, "top_up_all", fail_once)
        add_rule()

        start()

        wait_until(lambda: len(rentals.reaching_us()) == 2)
        assert "topping up failed: OperationalError; trying again" in caplog.text
        assert "+447700900001" not in caplog.text

    def test_the_thread_buys_when_the_pool_runs_low(self, rentals, start):
        rule = add_rule(low_threshold=1, target=1)
        start()
        wait_until(VirtualNumber.objects.active().exists)

        VirtualNumber.objects.get().quarantine(reason="for the test")

        wait_until(lambda: len(rentals.reaching_us()) == 2)
        wait_until(lambda: not rule.orders.filter(state=OrderState.OPEN).exists())


class TestStopping:
    def test_a_shutdown_ends_the_wait_for_a_retry(self, monkeypatch):
        waits = []

        class SetDuringWait(threading.Event):
            def wait(self, timeout=None):
                waits.append(timeout)
                self.set()
                return super().wait(timeout)

        def call():
            raise TemporaryFailure("throttled", retry_after=50)

        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("a shutdown request cannot end this wait"))
        with pytest.raises(ShutdownRequested), stop_on(SetDuringWait()):
            with_retries(call)
        assert waits == [50]

    def test_the_carrier_is_not_called_after_a_shutdown_request(self, rentals):
        stop = threading.Event()
        stop.set()

        with stop_on(stop):
            with pytest.raises(ShutdownRequested):
                retry.find_owned("+447700900700")
            with pytest.raises(ShutdownRequested):
                next(search(NumberOrder(country="GB", features="SMS", pattern_place="anywhere").query))

        assert rentals.calls == []
        assert retry.find_owned("+447700900700") is None  # Outside stop_on() calls work.

    @pytest.mark.django_db
    def test_a_shutdown_after_a_purchase_releases_the_lease_for_the_next_worker(self, rentals, monkeypatch):
        stop = threading.Event()
        rentals.at_step = lambda name: name == "after buy" and stop.set()
        rule = add_rule()

        TopUpThread(stop)._round()

        rule.refresh_from_db()
        assert rule.busy_until is None
        assert len(rentals.account) == 1
        rentals.at_step = lambda name: None
        TopUpThread(threading.Event())._round()
        assert len(rentals.account) == len(rentals.bought) == 2
        assert NumberOrder.objects.get().state == OrderState.COMPLETE


# As processes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def relays(transactional_db, tmp_path):
    with StubCarrier(tmp_path) as stub, Relays(tmp_path, stub, CARRIER="simulator") as relays:
        yield relays


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
@pytest.mark.postgres
def test_repeatedly_killed_workers_fill_the_pool_without_buying_too_many(relays):
    rule = add_rule(low_threshold=20, target=20, monthly_budget=Decimal("30.00"))
    SimulatedFault.objects.create(verb="buy", kind="lost_reply", remaining=2)

    for rented in (2, 5, 8):
        process = relays.start(changes=f"{IN_A_HURRY}\nMOST = {rented + 3}")
        wait_until(lambda rented=rented: SimulatedNumber.objects.count() >= rented)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert SimulatedNumber.objects.count() < 20
    last = relays.start(changes=f"{IN_A_HURRY}\nMOST = 100")
    wait_until(lambda: rule.orders.filter(state=OrderState.COMPLETE).exists())
    last.send_signal(signal.SIGTERM)

    assert last.wait(PATIENCE) == 0
    assert SimulatedNumber.objects.count() == VirtualNumber.objects.active().count() == 20
    assert rule.orders.count() == 1
    assert sum(SimulatedNumber.objects.values_list("monthly_cost", flat=True)) <= Decimal("30.00")


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
@pytest.mark.postgres
def test_two_workers_fill_the_pool_up_to_the_budget(relays):
    rule = add_rule(low_threshold=12, target=12, monthly_budget=Decimal("6.00"), max_monthly_cost=Decimal("1.20"))

    # No worker is killed, so no lease may expire: on a slow machine that would open more orders.
    patient = f"{IN_A_HURRY}\nMOST = 100\ntop_up.TOP_UP_LEASE = timedelta(minutes=5)"
    for process in [relays.start(changes=patient) for _ in range(2)]:
        relays.wait_for(process)
    wait_until(lambda: TopUp.objects.get().last_error)

    costs = SimulatedNumber.objects.values_list("monthly_cost", flat=True)
    assert Decimal("5.10") < sum(costs) <= Decimal("6.00")
    assert max(costs) <= Decimal("1.20")
    assert "the budget is used up" in rule.orders.get().events.first().reason


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
@pytest.mark.postgres
def test_sigterm_ends_a_worker_that_waits_for_the_carrier_within_seconds(relays):
    rule = add_rule()
    SimulatedFault.objects.create(verb="search", kind="unreachable", remaining=100)
    process = relays.start(changes="from numbers.provisioning import retry; retry.WAITS = (300.0,)")
    relays.wait_for(process)
    wait_until(lambda: SimulatedFault.objects.get().remaining < 100)

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 0
    rule.refresh_from_db()
    assert rule.busy_until is None
    assert rule.orders.get().state == OrderState.OPEN

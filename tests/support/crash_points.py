"""Crash points: kill a purchase of numbers at one step after another, each time in a fresh world.

Each mishap tries every fifth step, from a different first step, so that the five mishaps together try every step.
With --every-step, each mishap tries every step.
"""

from contextlib import contextmanager
from itertools import count

from django.db import transaction

from numbers.models import NumberOrder, NumberState, OrderState, VirtualNumber
from numbers.provisioning.order import OrderSpec, find_or_open_order, fulfil
from smsproxy.carriers.base import OutcomeUnknown
from smsproxy.states import StateMachine
from tests.support.fake_rental_carrier import LOST

TWO = OrderSpec(country="GB", count=2)


class Killed(BaseException):
    """A simulated kill -9, which no product code catches."""


class Steps:
    """A counter of a run's steps, to the carrier and to the database, that kills the run at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self, name: str) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed(name)

    @contextmanager
    def kill_at(self, step):
        """Yield a list that stays empty unless the body is killed."""
        self.left, killed = step, []
        try:
            yield killed
        except Killed as death:
            killed.append(str(death))
        finally:
            self.left = None


def steps_of_ours(monkeypatch) -> Steps:
    """Add a step before and after every state change and every new row; return the counter of steps."""
    steps = Steps()

    def watch(owner, name):
        original = getattr(owner, name)

        def wrapper(self, *args, **options):
            steps(f"before {name}")
            result = original(self, *args, **options)
            steps(f"after {name}")
            return result

        monkeypatch.setattr(owner, name, wrapper)

    watch(StateMachine, "transition")
    watch(StateMachine, "record_event")
    watch(VirtualNumber, "save")
    watch(NumberOrder, "save")
    return steps


def plain(rentals):
    pass


def first_is_gone(rentals):
    rentals.gone.add("+447700900700")


def reply_is_lost(rentals):
    rentals.fail("buy", LOST)


def request_is_lost(rentals):
    rentals.fail("buy", OutcomeUnknown("no answer"))


def list_lags(rentals):
    reply_is_lost(rentals)
    rentals.lag = 2


MISHAPS = [plain, first_is_gone, reply_is_lost, request_is_lost, list_lags]
STRIDE = len(MISHAPS)


def steps_to_try(mishap, *, every: bool):
    """Return an endless iterator of the steps at which to kill. every: all steps, not only those of this mishap."""
    return count() if every else count(MISHAPS.index(mishap), STRIDE)


def provision():
    """Do as the command does. A repeated run is the same request, and buys nothing more."""
    list(fulfil(find_or_open_order(TWO)))


def assert_exactly_what_was_asked_for(rentals):
    assert len(rentals.account) == 2
    assert len(rentals.bought) == 2
    order = NumberOrder.objects.get()
    assert order.state == OrderState.COMPLETE
    active = VirtualNumber.objects.active()
    assert {each.number for each in active} == set(rentals.account) == rentals.reaching_us()
    assert not VirtualNumber.objects.filter(state__in=[NumberState.ORDERED, NumberState.CONFIGURING]).exists()


def provision_killed_at_each_of(tries, rentals, steps, happens):
    """Kill a run that buys two numbers at each of these steps, and run it again. Stop after the run's last step."""
    for step in tries:
        with world(rentals, steps, happens):
            with steps.kill_at(step) as killed:
                provision()
            assert len(rentals.account) <= 2
            provision()
            assert_exactly_what_was_asked_for(rentals)
            if not killed:
                break
    assert step > 20, "hardly any steps: is the counting broken?"


@contextmanager
def world(rentals, steps, happens):
    """Provide a fresh account and a fresh database, rolled back at the end."""
    rentals.__init__()
    rentals.at_step = steps
    happens(rentals)
    around = transaction.atomic()
    # Mark it like pytest's transaction around a test: carrier calls are forbidden only within the product's own.
    vars(around)["_from_testcase"] = True
    with around:
        yield
        transaction.set_rollback(True)

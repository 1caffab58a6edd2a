"""Orders that staff place in the admin, carried out by a worker.

Staff agree to what they were shown: a count, the highest cost of one number, and the total. The order stores all three,
so they bound every run. As with each order, the intent is stored before the purchase. So a worker that is killed
neither buys twice nor loses the order: the next run settles the purchase in doubt, then goes on.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from numbers.models import NumberOrder, NumberState, OrderState, VirtualNumber
from numbers.provisioning.order import OrderSpec, close_order, fulfil, plan, settle
from numbers.provisioning.retry import ShutdownRequested, stop_on
from smsproxy.carriers.base import CarrierError, PermanentFailure
from smsproxy.database.clock import DatabaseNow, database_now
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# The lease of a worker on an order, renewed after each step. It only saves work: two runs at once do no harm. So it is
# short, and an order whose worker was killed goes on soon.
LEASE = timedelta(minutes=2)
# The wait after a carrier error.
AFTER_FAULT = timedelta(minutes=1)
# EUR a month for one number, if staff set no limit. With a limit, numbers of unknown cost are not bought.
ANY_COST = Decimal("9999.00")


class _LeaseLost(Exception):
    """Another worker holds the order now."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A number for rent as staff see it. monthly_cost: EUR."""

    number: str
    type: str
    monthly_cost: Decimal


@contextmanager
def carrier_within(seconds: float) -> Iterator[None]:
    """Raise ShutdownRequested in this block, instead of calling the carrier, after so long. For a request of staff."""
    late = threading.Event()
    timer = threading.Timer(seconds, late.set)
    timer.daemon = True
    timer.start()
    try:
        with stop_on(late):
            yield
    finally:
        timer.cancel()


def find_offers(spec: OrderSpec) -> list[Offer]:
    """Return the numbers that an order for this would buy now, each of known cost. Raises CarrierError."""
    limited = replace(spec, max_monthly_cost=spec.max_monthly_cost or ANY_COST)
    return [
        Offer(number=each.number, type=each.type or "", monthly_cost=each.monthly_cost)
        for each in plan(NumberOrder(**limited.as_fields)).candidates
        if each.monthly_cost is not None
    ]


def place(
    spec: OrderSpec, offers: Iterable[Offer], *, token: UUID, reason: str, actor: str
) -> tuple[NumberOrder, bool]:
    """Return an order for as many numbers as were offered, at no more than they cost, and whether it is new.

    One token places one order, however often the form is sent.
    """
    costs = [each.monthly_cost for each in offers]
    agreed = replace(spec, count=len(costs), max_monthly_cost=max(costs))
    fields = {**agreed.as_fields, "agreed_total": sum(costs, Decimal(0)), "ordered_by": actor}
    with transaction.atomic():
        order, is_new = NumberOrder.objects.get_or_create(token=token, defaults=fields)
        if is_new:
            order.record_event(order.state, reason=f"opened: {reason}", actor=actor)
    return order, is_new


def carry_out_all() -> None:
    """Go on with each order of staff that is not finished. Raises ShutdownRequested (see `retry.stop_on`)."""
    for order in _due():
        try:
            _carry_out(order)
        except ShutdownRequested:
            raise
        except Exception as error:  # noqa: BLE001
            # The lease is kept, so the next attempt comes after it expires. The other orders go on.
            log.error("%s failed: %s", order, type(error).__name__)  # noqa: TRY400
            with suppress(DatabaseError, InterfaceError):  # The database may be what failed.
                told = f"an unexpected {type(error).__name__}, see the log"
                NumberOrder.objects.filter(pk=order.pk).update(last_error=told)


def is_any_due() -> bool:
    """Return whether `carry_out_all` has something to do."""
    return _due().exists()


def stuck_orders() -> "QuerySet[NumberOrder]":
    """Return the orders of staff whose last attempt failed. `last_error` says why."""
    return _unfinished().exclude(last_error="").order_by("pk")


def is_unfinished(order: NumberOrder) -> bool:
    """Return whether a worker still has something to do for it."""
    return order.state == OrderState.OPEN or _unconfigured(order).exists()


def _unfinished() -> "QuerySet[NumberOrder]":
    waiting = VirtualNumber.objects.filter(order=OuterRef("pk"), state=NumberState.CONFIGURING)
    return NumberOrder.objects.of_staff().filter(Q(state=OrderState.OPEN) | Q(Exists(waiting)))


def _due() -> "QuerySet[NumberOrder]":
    return _free(_unfinished()).filter(Q(retry_at=None) | Q(retry_at__lte=DatabaseNow())).order_by("pk")


def _free(orders: "QuerySet[NumberOrder]") -> "QuerySet[NumberOrder]":
    return orders.filter(Q(busy_until=None) | Q(busy_until__lte=DatabaseNow()))


def _carry_out(order: NumberOrder) -> None:
    """Buy what the order lacks, and store why it could not. Do nothing if another worker holds its lease."""
    if not _hold(order, _free(NumberOrder.objects.all())):
        return
    trouble = ""
    try:
        trouble = _work_on(order)
    except _LeaseLost:
        return
    except CarrierError as error:
        trouble = f"carrier error: {error.detail}"
    except ShutdownRequested:
        _hand_back(order, order.last_error)
        raise
    _hand_back(order, trouble)


def _work_on(order: NumberOrder) -> str:
    """Do all that can be done now. Return why numbers do not reach us, or "". Raises CarrierError if it stays open."""
    order.refresh_from_db()
    try:
        _run_under_lease(order, fulfil(order) if order.state == OrderState.OPEN else settle(order))
    except PermanentFailure as error:
        close_order(order, error.detail)
        if order.state == OrderState.OPEN:
            raise
    order.refresh_from_db()
    if order.state == OrderState.OPEN and order.stopped_by:
        with suppress(StaleState):  # Another run is buying a number. The next round ends the order.
            order.abandon(actor=order.stopped_by)
    if waiting := _unconfigured(order).count():
        return f"{waiting} bought numbers do not reach us yet: does PUBLIC_URL answer from outside?"
    return ""


def _unconfigured(order: NumberOrder) -> "QuerySet[VirtualNumber]":
    return order.numbers.filter(state=NumberState.CONFIGURING)


def _run_under_lease(order: NumberOrder, steps: Iterable[object]) -> None:
    """Do the steps, and renew the lease after each. Raises _LeaseLost."""
    for _ in steps:
        if not _hold(order, NumberOrder.objects.filter(busy_until=order.busy_until)):
            raise _LeaseLost


def _hold(order: NumberOrder, orders: "QuerySet[NumberOrder]") -> bool:
    until = database_now() + LEASE
    is_ours = orders.filter(pk=order.pk).update(busy_until=until) == 1
    if is_ours:
        order.busy_until = until
    return is_ours


def _hand_back(order: NumberOrder, trouble: str) -> None:
    retry_at = database_now() + AFTER_FAULT if trouble else None
    ours = NumberOrder.objects.filter(pk=order.pk, busy_until=order.busy_until)
    ours.update(busy_until=None, last_error=trouble[:300], retry_at=retry_at)

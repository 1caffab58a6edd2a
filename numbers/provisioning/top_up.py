"""Top-ups: a pool that runs low orders numbers by itself, through the same provisioning as an operator.

The orders guard what is bought and what it costs. A database constraint allows a top-up one open order, which is
resumed before there is another. Each purchase is checked under the order's lock. The lease on the rule only keeps two
workers from doing the same work.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Q, QuerySet

from numbers.assignment import level
from numbers.models import NumberOrder, NumberState, OrderState, TopUp, VirtualNumber
from numbers.models.top_up import ACTOR
from numbers.provisioning.configure import configure
from numbers.provisioning.order import OrderSpec, close_order, fulfil, settle
from numbers.provisioning.retry import ShutdownRequested
from smsproxy.carriers.base import CarrierError, NumberType, PermanentFailure
from smsproxy.database.clock import DatabaseNow, database_now

log = logging.getLogger(__name__)

# The lease of a worker on a rule, renewed after each step. Longer than the longest wait for the carrier in one step.
TOP_UP_LEASE = timedelta(minutes=30)
# Backoff of a rule that could not buy all it wanted: the first wait, and the longest.
AFTER_SHORT = timedelta(hours=1)
AFTER_SHORT_AGAIN = timedelta(hours=6)
IN_A_ROW_WITHIN = timedelta(days=1)
# The wait after a carrier error.
AFTER_FAULT = timedelta(minutes=1)

# The fields of a rule that staff may change at any time.
_STAFF_FIELDS = ("is_enabled", "low_threshold", "target", "monthly_budget", "max_monthly_cost", "type")


@dataclass(frozen=True, kw_only=True)
class TopUpResult:
    """The result of a round for a rule. trouble: what staff must know. retry_at: it buys nothing before that."""

    trouble: str = ""
    retry_at: datetime | None = None


class _LeaseLost(Exception):
    """The rule was disabled, or another worker holds its lease."""


def top_up_all() -> None:
    """Check each rule once, and buy missing numbers. Raises ShutdownRequested (see `retry.stop_on`)."""
    for rule in TopUp.objects.select_related("pool"):
        try:
            top_up(rule)
        except ShutdownRequested:
            raise
        except Exception as error:  # noqa: BLE001
            # The lease is kept, so the next attempt comes after it expires. The other rules go on.
            log.error("%s failed: %s", rule, type(error).__name__)  # noqa: TRY400
            with suppress(DatabaseError, InterfaceError):  # The database may be what failed.
                TopUp.objects.filter(pk=rule.pk).update(last_error=f"an unexpected {type(error).__name__}, see the log")


def top_up(rule: TopUp) -> None:
    """Buy missing numbers and store the result on the rule. Do nothing if another worker holds its lease."""
    if not _take(rule):
        return
    rule.refresh_from_db()  # Another worker may have changed it since it was read.
    outcome = TopUpResult(trouble=rule.last_error, retry_at=rule.retry_at)
    try:
        outcome = _top_up(rule)
    except _LeaseLost:
        pass
    except CarrierError as error:
        outcome = TopUpResult(trouble=f"carrier error: {error.detail}", retry_at=database_now() + AFTER_FAULT)
    except ShutdownRequested:
        _hand_back(rule, outcome)
        raise
    _hand_back(rule, outcome)


def free_numbers(rule: TopUp) -> int:
    """Return the numbers still free for the busiest person of its pool and country. Negative: a shortage."""
    return level.free_numbers(rule.pool, rule.country)


def numbers_to_buy(rule: TopUp) -> int:
    """Return the count of numbers to buy, 0 if enough are free."""
    there = free_numbers(rule)
    return rule.target - there if there < rule.low_threshold else 0


def _top_up(rule: TopUp) -> TopUpResult:
    missing = numbers_to_buy(rule)
    is_begun = rule.orders.filter(state=OrderState.OPEN).exists() or _unconfigured(rule).exists()
    if not missing and not is_begun:
        return TopUpResult()
    if not rule.is_enabled:
        return TopUpResult(trouble=f"would buy {missing}, but is disabled" if missing else "")
    if rule.retry_at is not None and rule.retry_at > database_now():
        return TopUpResult(trouble=rule.last_error, retry_at=rule.retry_at)
    _run_under_lease(rule, configure(_unconfigured(rule)))
    if dated := _oversized_order(rule):
        _run_under_lease(rule, settle(dated))
        close_order(dated, "fewer numbers are missing now")
    if order := _order_to_fulfil(rule):
        _fulfil(rule, order)
        if order.state == OrderState.SHORT:
            why = order.events.filter(new_state=OrderState.SHORT).latest("pk").reason
            return TopUpResult(trouble=why, retry_at=database_now() + _pause_after_short(rule))
    if waiting := _unconfigured(rule).count():
        told = f"{waiting} bought numbers do not reach us yet: does PUBLIC_URL answer from outside?"
        return TopUpResult(trouble=told, retry_at=database_now() + AFTER_FAULT)
    return TopUpResult()


def _pause_after_short(rule: TopUp) -> timedelta:
    """Return the backoff, which doubles with each recent order in a row that could not be fulfilled."""
    fulfilled = rule.orders.exclude(state=OrderState.SHORT).order_by("-pk").values_list("pk", flat=True).first() or 0
    before = rule.orders.filter(pk__gt=fulfilled, created_at__gt=database_now() - IN_A_ROW_WITHIN).count() - 1
    # It may be -1: the order that has just ended began days ago, or another worker has opened the next.
    return min(AFTER_SHORT * (1 << max(before, 0)), AFTER_SHORT_AGAIN)


def _unconfigured(rule: TopUp) -> "QuerySet[VirtualNumber]":
    return VirtualNumber.objects.filter(order__top_up=rule, state=NumberState.CONFIGURING)


def _oversized_order(rule: TopUp) -> NumberOrder | None:
    """Return the open order if it would buy more than is missing now, since numbers may have been added."""
    with transaction.atomic():
        # The lock keeps other runs from buying for it between the two counts.
        order = rule.orders.select_for_update().filter(state=OrderState.OPEN).first()
        if order is None:
            return None
        lacking = order.count - order.numbers.rented_or_ordered().count()
        return order if lacking > max(rule.target - free_numbers(rule), 0) else None


def _order_to_fulfil(rule: TopUp) -> NumberOrder | None:
    """Return the open order, otherwise a new one, or None if nothing is missing."""
    with transaction.atomic():
        locked = TopUp.objects.select_for_update(no_key=True).get(pk=rule.pk)
        if begun := locked.orders.filter(state=OrderState.OPEN).first():
            return begun
        if not locked.is_enabled or not (missing := numbers_to_buy(locked)):
            return None
        spec = OrderSpec(
            country=locked.country,
            count=missing,
            type=NumberType(locked.type) if locked.type else None,
            max_monthly_cost=locked.max_monthly_cost,
            pool=locked.pool,
        )
        order = NumberOrder(**spec.as_fields, top_up=locked)
        order.save(force_insert=True)
        reason = f"opened: {locked.target - missing} in reserve, fewer than {locked.low_threshold}"
        order.record_event(order.state, reason=reason, actor=ACTOR)
    return order


def _fulfil(rule: TopUp, order: NumberOrder) -> None:
    """Buy what the order lacks. Raises CarrierError if it stays open."""
    try:
        _run_under_lease(rule, fulfil(order))
    except PermanentFailure as error:
        close_order(order, error.detail)
        if order.state == OrderState.OPEN:
            raise


def _run_under_lease(rule: TopUp, steps: Iterable[object]) -> None:
    """Do the steps, and renew the lease after each. Raises _LeaseLost if it is lost or the rule is disabled."""
    for _ in steps:
        if not _hold(rule, TopUp.objects.filter(busy_until=rule.busy_until, is_enabled=True)):
            raise _LeaseLost


def _take(rule: TopUp) -> bool:
    """Take the lease. Return False if another worker holds it."""
    return _hold(rule, TopUp.objects.filter(Q(busy_until=None) | Q(busy_until__lte=DatabaseNow())))


def _hold(rule: TopUp, rules: "QuerySet[TopUp]") -> bool:
    until = database_now() + TOP_UP_LEASE
    is_ours = rules.filter(pk=rule.pk).update(busy_until=until) == 1
    if is_ours:
        rule.busy_until = until
    return is_ours


def _hand_back(rule: TopUp, outcome: TopUpResult) -> None:
    """Release the lease and store the result. If staff have changed the rule since it was read, it does not wait."""
    ours = TopUp.objects.filter(pk=rule.pk, busy_until=rule.busy_until)
    as_it_was = ours.filter(**{name: getattr(rule, name) for name in _STAFF_FIELDS})
    if not as_it_was.update(busy_until=None, last_error=outcome.trouble[:300], retry_at=outcome.retry_at):
        ours.update(busy_until=None, last_error=outcome.trouble[:300], retry_at=None)

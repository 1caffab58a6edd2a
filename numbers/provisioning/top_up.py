"""Topping up: a pool that runs low orders numbers by itself, through the same provisioning as an operator.

What is bought, and what it may cost, hangs on the orders: a top-up has one open order at most, by constraint, which is
gone on with before there is another, and each purchase is weighed under the order's lock. The lease on the rule only
keeps workers from doing the same work.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from numbers.assignment.policy import Policy
from numbers.models import NumberOrder, NumberState, OrderState, TopUp, VirtualNumber
from numbers.models.top_up import ACTOR
from numbers.models.virtual_number import ASSIGNABLE, VirtualNumberQuerySet
from numbers.provisioning.configure import configure
from numbers.provisioning.order import OrderSpec, end, fulfil, settle
from numbers.provisioning.retry import Stopped
from numbers.usage import most_live_pairs_of_one_person
from smsproxy.carriers.base import CarrierError, NumberType, Refused

log = logging.getLogger(__name__)

# How long a worker may be at a rule without a sign of life. Longer than the carrier is waited for at any one step.
LEASE = timedelta(minutes=30)
# After how long a rule that could not buy all it wanted orders again, the first time, and the most, if it goes on so;
# and one whose carrier did not do its part.
AFTER_SHORT = timedelta(hours=1)
AFTER_SHORT_AGAIN = timedelta(hours=6)
IN_A_ROW_WITHIN = timedelta(days=1)
AFTER_FAULT = timedelta(minutes=1)

# Numbers that will be assignable soon: perhaps bought, or ours without their texts reaching us yet.
_COMING = Q(state__in=[NumberState.ORDERED, NumberState.CONFIGURING], can_sms=True, is_reserved=False)
# What staff set of a rule, and may change at any time.
_TERMS = ("is_enabled", "low_water", "target", "monthly_budget", "max_monthly_cost", "type")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What there is to say of a rule. retry_at: before that it buys nothing."""

    trouble: str = ""
    retry_at: datetime | None = None


class _TakenAway(Exception):
    """The rule was switched off, or another worker has taken it over."""


def top_up_all() -> None:
    """Look at each rule once, and buy where numbers are missing. Raises Stopped, see `patience.unless`."""
    for rule in TopUp.objects.select_related("pool"):
        try:
            top_up(rule)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001
            # It keeps its lease: the next try comes when that has run out. No other rule suffers.
            log.error("%s failed: %s", rule, type(error).__name__)  # noqa: TRY400
            with suppress(DatabaseError, InterfaceError):  # Perhaps that is what failed.
                TopUp.objects.filter(pk=rule.pk).update(trouble=f"an unexpected {type(error).__name__}, see the log")


def top_up(rule: TopUp) -> None:
    """Buy what is missing, and keep on the rule what there is to say. Nothing, if another worker is at it."""
    if not _take(rule):
        return
    rule.refresh_from_db()  # Another worker may have been at it since it was read.
    outcome = Outcome(trouble=rule.trouble, retry_at=rule.retry_at)
    try:
        outcome = _go_about(rule)
    except _TakenAway:
        pass
    except CarrierError as error:
        outcome = Outcome(trouble=f"the carrier did not do it: {error.detail}", retry_at=timezone.now() + AFTER_FAULT)
    except Stopped:
        _hand_back(rule, outcome)
        raise
    _hand_back(rule, outcome)


def reserve(rule: TopUp) -> int:
    """How many numbers of its pool and country the busiest person there has left; less than nothing: they are short.

    What is used up is what one person has at once of them, or as many numbers as the cap makes necessary. Numbers that
    are given to nobody any more count neither way, whoever still has them.
    """
    found = _there(rule).aggregate(count=Count("pk"), live=Sum("live"))
    cap = Policy(pool=rule.pool).cap
    by_cap = -(-(found["live"] or 0) // cap) if cap else 0
    return int(found["count"]) - max(_most_of_one_person(rule), by_cap)


def shortage(rule: TopUp) -> int:
    """How many numbers it should buy; 0: its reserve is not low."""
    there = reserve(rule)
    return rule.target - there if there < rule.low_water else 0


def _there(rule: TopUp) -> VirtualNumberQuerySet:
    """Its numbers that new conversations can have, now or soon."""
    return VirtualNumber.objects.filter(ASSIGNABLE | _COMING, pool=rule.pool, country=rule.country)


def _most_of_one_person(rule: TopUp) -> int:
    """The most live conversations, open or cooling down, that somebody of its country has with those numbers."""
    return most_live_pairs_of_one_person(_there(rule), rule.country)


def _go_about(rule: TopUp) -> Outcome:
    missing = shortage(rule)
    is_begun = rule.orders.filter(state=OrderState.OPEN).exists() or _unconfigured(rule).exists()
    if not missing and not is_begun:
        return Outcome()
    if not rule.is_enabled:
        return Outcome(trouble=f"would buy {missing}: switched off" if missing else "")
    if rule.retry_at is not None and rule.retry_at > timezone.now():
        return Outcome(trouble=rule.trouble, retry_at=rule.retry_at)
    _each_under_lease(rule, configure(_unconfigured(rule)))
    if dated := _order_for_too_many(rule):
        _each_under_lease(rule, settle(dated))
        end(dated, "so many are not missing any more")
    if order := _order_to_fulfil(rule):
        _fulfil(rule, order)
        if order.state == OrderState.SHORT:
            why = order.events.filter(new_state=OrderState.SHORT).latest("pk").reason
            return Outcome(trouble=why, retry_at=timezone.now() + _pause_after_short(rule))
    if waiting := _unconfigured(rule).count():
        told = f"the texts of {waiting} that it bought do not reach us yet: does PUBLIC_URL answer from outside?"
        return Outcome(trouble=told, retry_at=timezone.now() + AFTER_FAULT)
    return Outcome()


def _pause_after_short(rule: TopUp) -> timedelta:
    """The longer, the more of its orders in a row could not be fulfilled of late."""
    fulfilled = rule.orders.exclude(state=OrderState.SHORT).order_by("-pk").values_list("pk", flat=True).first() or 0
    before = rule.orders.filter(pk__gt=fulfilled, created_at__gt=timezone.now() - IN_A_ROW_WITHIN).count() - 1
    # It may be fewer than none: the one that has just ended was begun days ago, or another worker has begun the next.
    return min(AFTER_SHORT * (1 << max(before, 0)), AFTER_SHORT_AGAIN)


def _unconfigured(rule: TopUp) -> "QuerySet[VirtualNumber]":
    return VirtualNumber.objects.filter(order__top_up=rule, state=NumberState.CONFIGURING)


def _order_for_too_many(rule: TopUp) -> NumberOrder | None:
    """The open one, if less is missing by now than it would buy: others may have added numbers since it was begun."""
    with transaction.atomic():
        # Nobody begins to buy for it between the two counts.
        order = rule.orders.select_for_update().filter(state=OrderState.OPEN).first()
        if order is None:
            return None
        lacking = order.count - order.numbers.in_pool().count()
        return order if lacking > max(rule.target - reserve(rule), 0) else None


def _order_to_fulfil(rule: TopUp) -> NumberOrder | None:
    """The one that is open, else a new one; None: nothing is missing any more."""
    with transaction.atomic():
        locked = TopUp.objects.select_for_update(no_key=True).get(pk=rule.pk)
        if begun := locked.orders.filter(state=OrderState.OPEN).first():
            return begun
        if not locked.is_enabled or not (missing := shortage(locked)):
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
        reason = f"opened: {locked.target - missing} in reserve, fewer than {locked.low_water}"
        order.record(order.state, reason=reason, actor=ACTOR)
    return order


def _fulfil(rule: TopUp, order: NumberOrder) -> None:
    """Raises CarrierError: the order stays open."""
    try:
        _each_under_lease(rule, fulfil(order))
    except Refused as error:
        end(order, error.detail)
        if order.state == OrderState.OPEN:
            raise


def _each_under_lease(rule: TopUp, steps: Iterable[object]) -> None:
    """Raises _TakenAway: after one of these steps the rule is not this worker's any more, or it is switched off."""
    for _ in steps:
        if not _hold(rule, TopUp.objects.filter(busy_until=rule.busy_until, is_enabled=True)):
            raise _TakenAway


def _take(rule: TopUp) -> bool:
    """Only one worker can."""
    return _hold(rule, TopUp.objects.filter(Q(busy_until=None) | Q(busy_until__lte=timezone.now())))


def _hold(rule: TopUp, rules: "QuerySet[TopUp]") -> bool:
    until = timezone.now() + LEASE
    is_ours = rules.filter(pk=rule.pk).update(busy_until=until) == 1
    if is_ours:
        rule.busy_until = until
    return is_ours


def _hand_back(rule: TopUp, outcome: Outcome) -> None:
    """If staff have changed it meanwhile, it need not wait."""
    ours = TopUp.objects.filter(pk=rule.pk, busy_until=rule.busy_until)
    as_it_was = ours.filter(**{name: getattr(rule, name) for name in _TERMS})
    if not as_it_was.update(busy_until=None, trouble=outcome.trouble[:300], retry_at=outcome.retry_at):
        ours.update(busy_until=None, trouble=outcome.trouble[:300], retry_at=None)

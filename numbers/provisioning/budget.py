"""Limits on what an order may pay: a cap for each number, and the monthly budget of its top-up."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import Coalesce

from numbers.models import NumberEvent, NumberOrder, NumberState, TopUp, VirtualNumber
from smsproxy.carriers.base import AvailableNumber
from smsproxy.database.clock import database_now


class PurchaseBlock(StrEnum):
    """Why an order may not buy a number that is for rent."""

    BEYOND_BUDGET = "beyond the budget"
    BEYOND_AGREED = "beyond the agreed total"
    """Staff agreed to a total for the whole order."""
    TOO_DEAR = "too dear"
    COST_UNKNOWN = "of unknown cost"
    PAID_BEFORE = "paid before"
    """A top-up has paid for it this month, and it was released since. A number remembers only its last order, so buying
    it again would lose the earlier cost.
    """
    REFUSED = "refused"


def obstacle(order: NumberOrder, candidate: AvailableNumber) -> PurchaseBlock | None:
    """Return why the order may not pay for this number, or None if it may."""
    cap, cost = _cap(order), candidate.monthly_cost
    if cap is not None and cost is None:
        return PurchaseBlock.COST_UNKNOWN
    if cap is not None and cost is not None and cost > cap:
        return PurchaseBlock.TOO_DEAR
    if order.top_up is not None and cost is not None and cost > remaining_budget(order.top_up):
        return PurchaseBlock.BEYOND_BUDGET
    if order.agreed_total is not None and cost is not None and cost > order.agreed_total - cost_of(order):
        return PurchaseBlock.BEYOND_AGREED
    paid = VirtualNumber.objects.filter(_paid_this_month(), number=candidate.number, order__top_up__isnull=False)
    return PurchaseBlock.PAID_BEFORE if paid.exists() else None


def cost_of(order: NumberOrder) -> Decimal:
    """Return EUR a month of the order's numbers, with purchases in doubt. An unsaved order has none."""
    if order._state.adding:
        return Decimal(0)
    total: Decimal | None = order.numbers.rented_or_ordered().aggregate(total=Sum("monthly_cost"))["total"]
    return total or Decimal(0)


def spent_this_month(top_up: TopUp) -> Decimal:
    """Return the cost this month, in EUR, of the numbers it has bought, with purchases in doubt.

    If staff have since removed the cost of a number, the most that its order may pay counts.
    """
    cost = Coalesce("monthly_cost", "order__max_monthly_cost")
    total: Decimal | None = VirtualNumber.objects.filter(_paid_this_month(), order__top_up=top_up).aggregate(
        total=Sum(cost)
    )["total"]
    return total or Decimal(0)


class Rent(NamedTuple):
    """EUR of the numbers paid for this month. unknown: how many numbers cost what nobody knows."""

    euros: Decimal
    unknown: int


def rent_of_this_month() -> Rent:
    """Return the cost this month, in EUR, of all numbers, with those given back in the month."""
    cost = Coalesce("monthly_cost", "order__max_monthly_cost")
    found = VirtualNumber.objects.filter(_paid_this_month()).aggregate(
        euros=Sum(cost), unknown=Count("pk", filter=Q(monthly_cost=None, order__max_monthly_cost=None))
    )
    return Rent(found["euros"] or Decimal(0), found["unknown"])


def remaining_budget(top_up: TopUp) -> Decimal:
    """Return what it may still spend this month, in EUR. Negative: the budget was cut since."""
    return top_up.monthly_budget - spent_this_month(top_up)


def describe_blocks(order: NumberOrder, obstacles: Mapping[str, PurchaseBlock]) -> str:
    """Return in words why the order cannot buy all that it wants. obstacles: the reason for each number for rent."""
    counted = Counter(obstacles.values())
    reasons = []
    if order.top_up is not None and counted[PurchaseBlock.BEYOND_BUDGET]:
        rest = f"EUR {remaining_budget(order.top_up):.2f} of EUR {order.top_up.monthly_budget:.2f} a month is left"
        reasons.append(f"the budget is used up ({rest})")
    if beyond := counted[PurchaseBlock.BEYOND_AGREED]:
        reasons.append(f"{beyond} for rent would exceed the EUR {order.agreed_total:.2f} a month that was agreed to")
    if dear := counted[PurchaseBlock.TOO_DEAR]:
        reasons.append(f"{dear} for rent cost{'s' if dear == 1 else ''} more than EUR {_cap(order):.2f} a month")
    if unknown := counted[PurchaseBlock.COST_UNKNOWN]:
        reasons.append(f"the carrier does not say the cost of {unknown} for rent")
    if paid := counted[PurchaseBlock.PAID_BEFORE]:
        reasons.append(f"{paid} for rent {'was' if paid == 1 else 'were'} ours this month")
    if refused := counted[PurchaseBlock.REFUSED]:
        reasons.append(f"{refused} {'was' if refused == 1 else 'were'} refused")
    return "; ".join(reasons) or "the carrier has no more"


def _cap(order: NumberOrder) -> Decimal | None:
    """Return the most that one number may cost. The top-up's cap counts too, since staff may have lowered it."""
    caps = [order.max_monthly_cost, order.top_up.max_monthly_cost if order.top_up else None]
    return min((cap for cap in caps if cap is not None), default=None)


def _paid_this_month() -> Q:
    """Return the filter of numbers paid for this month: ours, being bought, or ours earlier in the month.

    A month that has begun is paid for. For released numbers, any event this month except a failed purchase counts.
    """
    month = database_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    was_ours = (
        NumberEvent.objects.filter(number=OuterRef("pk"), created_at__gte=month)
        .exclude(new_state=NumberState.ORDERED)
        .exclude(old_state=NumberState.ORDERED, new_state=NumberState.RETIRED)
    )
    return Q(is_rented=True) | Q(state=NumberState.ORDERED) | Q(Exists(was_ours))

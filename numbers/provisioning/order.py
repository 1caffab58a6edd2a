"""Provisioning: search, buy and configure virtual numbers, at a known cost and never more than an order's count.

The intent to buy a number is stored before the purchase, as a row in the state "ordered". The numbers of an order that
are ours, or may be, never exceed its count. After a crash, the next run knows which purchases may have gone through. It
settles them with the carrier, then buys what is still missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Self

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from numbers.models import NumberOrder, NumberState, OrderState, Pool, VirtualNumber
from numbers.provisioning import budget
from numbers.provisioning.budget import PurchaseBlock
from numbers.provisioning.configure import configure
from numbers.provisioning.purchase import is_of_a_participant, purchase
from numbers.provisioning.retry import search
from numbers.provisioning.step import ProvisioningStep, StepKind
from smsproxy.carriers.base import AvailableNumber, Feature, NumberType, PatternPosition, PermanentFailure
from smsproxy.database.clock import database_now
from smsproxy.database.table_lock import lock_table
from smsproxy.english import in_english
from smsproxy.states import StaleState

# More refusals in a row are no accident. Numbers of this country may need an address on file, for example.
MAX_REFUSALS = 20
# Within this time after the end of an order, an identical request is a repeat of it.
SAME_REQUEST_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class OrderSpec:
    """What to buy. max_monthly_cost: EUR for each number. With it, numbers of unknown cost are not bought."""

    country: str
    count: int
    features: frozenset[Feature] = frozenset({Feature.SMS})
    type: NumberType | None = None
    pattern: str = ""
    pattern_place: PatternPosition = PatternPosition.ANYWHERE
    max_monthly_cost: Decimal | None = None
    pool: Pool | None = None

    @property
    def as_fields(self) -> dict[str, Any]:
        """Return the values of an order's fields."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "features": NumberOrder.features_text(self.features),
            "type": self.type or "",
        }


@dataclass(frozen=True, kw_only=True)
class Approval:
    """The bounds of a purchase that somebody was shown and agreed to.

    count: the most numbers to buy, of which `unknown` may have an unknown cost. highest: the most that one may cost.
    total: the most that all of known cost may cost together. Both are EUR a month.
    """

    count: int
    unknown: int
    highest: Decimal
    total: Decimal

    @classmethod
    def of(cls, costs: Sequence[Decimal | None]) -> Self:
        """Return the approval of numbers that cost this much. None: the carrier does not say."""
        known = [cost for cost in costs if cost is not None]
        return cls(
            count=len(costs),
            unknown=len(costs) - len(known),
            highest=max(known, default=Decimal(0)),
            total=sum(known, Decimal(0)),
        )

    def covers(self, cost: Decimal | None) -> bool:
        """Return whether one more number may be bought at this cost."""
        is_within = self.unknown > 0 if cost is None else cost <= min(self.highest, self.total)
        return self.count > 0 and is_within

    def after(self, cost: Decimal | None) -> "Approval":
        """Return what is left once a number of this cost is bought."""
        if not self.covers(cost):
            return self
        unknown = self.unknown - (cost is None)
        return replace(self, count=self.count - 1, unknown=unknown, total=self.total - (cost or 0))


@dataclass(frozen=True, kw_only=True)
class PurchasePlan:
    """What a run of the order would do now. begun: numbers that earlier runs have bought, or may have bought."""

    order: NumberOrder
    begun: list[VirtualNumber]
    candidates: list[AvailableNumber]

    @property
    def missing(self) -> int:
        """Count the numbers that the carrier cannot supply."""
        return self.order.count - len(self.begun) - len(self.candidates)

    @property
    def costs(self) -> list[Decimal | None]:
        """Return the cost of each number to buy, EUR a month, with the purchases in doubt."""
        in_doubt = [number.monthly_cost for number in self.begun if number.state == NumberState.ORDERED]
        return in_doubt + [candidate.monthly_cost for candidate in self.candidates]

    @property
    def approval(self) -> Approval:
        """Return what a yes to this plan allows."""
        return Approval.of(self.costs)


def order_for(spec: OrderSpec, *, again: bool = False) -> NumberOrder:
    """Return the open order for exactly this, otherwise one that has just ended, otherwise a new one, not saved.

    An order that has just ended is the same request: the caller may have been killed before it saw the end. again: the
    caller wants as many more, so ended orders are ignored.
    """
    alike = NumberOrder.objects.filter(**spec.as_fields, top_up=None, token=None)
    begun = alike.filter(state=OrderState.OPEN).order_by("pk").first()
    if begun is None and not again:
        ended = Q(events__new_state=F("state"), events__created_at__gte=database_now() - SAME_REQUEST_WINDOW)
        begun = next((order for order in alike.filter(ended) if _is_still_fulfilled(order)), None)
    return begun or NumberOrder(**spec.as_fields)


def _is_still_fulfilled(order: NumberOrder) -> bool:
    """Return whether the ended order still holds: its numbers have not been released since."""
    if order.state == OrderState.COMPLETE:
        return order.numbers.rented().count() >= order.count
    return order.state == OrderState.SHORT


def find_or_open_order(spec: OrderSpec, *, again: bool = False) -> NumberOrder:
    """Return `order_for`, saved. Two runs that begin at once share one order."""
    with transaction.atomic():
        lock_table(NumberOrder)
        order = order_for(spec, again=again)
        if order._state.adding:
            order.save(force_insert=True)
            order.record_event(order.state, reason="opened")
    return order


def plan(order: NumberOrder) -> PurchasePlan:
    """Return what `fulfil` would buy now, to show before it does. The order need not be saved."""
    begun = [] if order._state.adding else list(order.numbers.rented_or_ordered())
    room = max(order.count - len(begun), 0) if order.state == OrderState.OPEN else 0
    candidates = islice(_candidates(order, {}), room)
    return PurchasePlan(order=order, begun=begun, candidates=list(candidates))


def fulfil(order: NumberOrder, *, approval: Approval | None = None) -> Iterator[ProvisioningStep]:
    """Buy and configure what the order still lacks, and yield each step. After a crash, run it again.

    approval: the bounds of what may be bought. If the carrier has only other numbers left, the order stays open. With
    None, only the order's own limits hold. Purchases in doubt are always settled, since they may be ours already.
    Raises CarrierError if it cannot continue. The order then stays open.
    """
    obstacles: dict[str, PurchaseBlock] = {}
    for step in settle(order):
        if step.kind == StepKind.REFUSED:
            obstacles[step.number.number] = PurchaseBlock.REFUSED
        if approval is not None and step.kind == StepKind.BOUGHT:
            approval = approval.after(step.number.monthly_cost)
        yield step

    candidates = _candidates(order, obstacles)
    refusals = 0
    has_uncovered = False
    while is_wanting := _has_room(order):
        candidate = next(candidates, None)
        if candidate is None:
            break
        if approval is not None and not approval.covers(candidate.monthly_cost):
            has_uncovered = True
            if not approval.count:
                break
            continue
        intended = _record_intent(order, candidate)
        if intended is None:
            if found := budget.obstacle(order, candidate):  # Another run has just spent the rest.
                obstacles[candidate.number] = found
            continue
        for step in _buy_and_configure(intended, in_doubt=False):
            refusals = refusals + 1 if step.kind == StepKind.REFUSED else 0
            if step.kind == StepKind.REFUSED:
                obstacles[intended.number] = PurchaseBlock.REFUSED
            if approval is not None and step.kind == StepKind.BOUGHT:
                approval = approval.after(intended.monthly_cost)
            yield step
        if refusals == MAX_REFUSALS:
            raise PermanentFailure(f"the carrier refused {refusals} numbers in a row, the last because: {step.detail}")
    close_order(order, budget.describe_blocks(order, obstacles) if is_wanting and not has_uncovered else "")


def settle(order: NumberOrder) -> Iterator[ProvisioningStep]:
    """Settle the purchases that were begun, configure what is bought, and yield each step. Begin no purchase."""
    yield from configure(order.numbers.filter(state=NumberState.CONFIGURING))
    for number in order.numbers.filter(state=NumberState.ORDERED):
        yield from _buy_and_configure(number, in_doubt=True)


def close_order(order: NumberOrder, why_short: str = "") -> None:
    """Close the order, unless another run is still buying for it. That run closes it then.

    why_short: why it cannot buy more. With "", an order that lacks numbers stays open.
    """
    with transaction.atomic():
        locked = NumberOrder.objects.select_for_update().get(pk=order.pk)
        ours = locked.numbers.rented().count()
        is_being_bought = locked.numbers.being_bought().exists()
        if locked.state == OrderState.OPEN and ours >= locked.count:
            locked.transition(OrderState.COMPLETE, reason=_told_complete(ours, locked.count))
        elif locked.state == OrderState.OPEN and why_short and not is_being_bought:
            locked.transition(OrderState.SHORT, reason=f"{ours} of {locked.count} are ours: {why_short}")
    order.refresh_from_db(fields=["state"])


def _candidates(order: NumberOrder, obstacles: dict[str, PurchaseBlock]) -> Iterator[AvailableNumber]:
    """Yield numbers for rent that the order could take, each once. Store in obstacles why it cannot take the others.

    A number that we buy leaves the carrier's list, and later numbers move up, past the page that is fetched next. So
    the search restarts until it finds no new number.
    """
    seen: set[str] = set()
    while True:
        before = len(seen)
        for candidate in search(order.query):
            if candidate.number in seen or _is_taken(candidate.number):
                continue
            if found := budget.obstacle(order, candidate):
                obstacles[candidate.number] = found
                continue
            seen.add(candidate.number)
            yield candidate
        if len(seen) == before:
            return


def _is_taken(number: str) -> bool:
    """Return whether the number is in the pool or belongs to a participant."""
    return VirtualNumber.objects.rented_or_ordered().with_number(number).exists() or is_of_a_participant(number)


def _has_room(order: NumberOrder) -> bool:
    # Reload the top-up too: staff may have changed the budget.
    order.refresh_from_db(fields=["state", "stopped_by", "top_up"])
    if order.state != OrderState.OPEN or order.stopped_by:
        return False
    return order.numbers.rented_or_ordered().count() < order.count


def _record_intent(order: NumberOrder, candidate: AvailableNumber) -> VirtualNumber | None:
    """Store the intent to buy this number and return its row.

    Return None if the order has no more room or money, or if the number is taken.
    """
    reason = f"to be bought for {in_english(order)}"
    row = VirtualNumber.of(
        candidate.number,
        order.country,
        candidate.type,
        candidate.features,
        monthly_cost=candidate.monthly_cost,
        order=order,
        pool=order.pool,
    )
    with transaction.atomic():
        # One run at a time counts and inserts, so two runs exceed neither the count nor the budget. A top-up has only
        # one open order.
        locked = NumberOrder.objects.select_for_update().get(pk=order.pk)
        if not _has_room(locked) or _is_taken(row.number) or budget.obstacle(locked, candidate):
            return None
        retired = VirtualNumber.objects.with_number(row.number).first()
        try:
            with transaction.atomic():
                if retired is not None:
                    names = ("number", "country", "type", "can_sms", "monthly_cost", "order", "pool", "is_reserved")
                    changes = {name: getattr(row, name) for name in names}
                    return retired.transition(NumberState.ORDERED, reason=reason, webhook_url="", **changes)
                row.save(force_insert=True)
                row.record_event(row.state, reason=reason)
                return row
        except (IntegrityError, StaleState):
            return None  # Another order has just taken the number.


def _buy_and_configure(number: VirtualNumber, *, in_doubt: bool) -> Iterator[ProvisioningStep]:
    step = purchase(number, in_doubt=in_doubt)
    yield step
    if step.kind == StepKind.BOUGHT:
        yield from configure([number])


def _told_complete(ours: int, count: int) -> str:
    if ours > count:
        return f"{ours} numbers are ours, {ours - count} more than was asked for"
    return "its one number is ours" if count == 1 else f"all {count} numbers are ours"

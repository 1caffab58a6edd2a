"""Provisioning: searching, buying and configuring virtual numbers, knowingly and never more than was asked for.

The intent to buy a number is stored before the purchase, as a row in the state "ordered", and the numbers of an order
that are ours, or may be, never exceed its count. So whatever happens in between, the next run knows which purchases may
have gone through, settles them with the carrier, and goes on with what is still missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Self

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from numbers.models import NumberOrder, NumberState, OrderState, Pool, VirtualNumber
from numbers.provisioning import budget
from numbers.provisioning.budget import Obstacle
from numbers.provisioning.configure import configure
from numbers.provisioning.purchase import is_of_a_participant, purchase
from numbers.provisioning.retry import search
from numbers.provisioning.step import Step, StepKind
from smsproxy.carriers.base import AvailableNumber, Feature, NumberType, PatternPlace, Refused
from smsproxy.database.table_lock import hold_writers
from smsproxy.states import StaleState

# So many refusals in a row are not bad luck: numbers of this country may need an address on file, say.
MOST_REFUSALS = 20
# For so long after an order has ended, asking for exactly the same is taken for the same request.
JUST_ENDED = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class OrderSpec:
    """What is asked for. max_monthly_cost: EUR for each number; a number of unknown cost is then not bought."""

    country: str
    count: int
    features: frozenset[Feature] = frozenset({Feature.SMS})
    type: NumberType | None = None
    pattern: str = ""
    pattern_place: PatternPlace = PatternPlace.ANYWHERE
    max_monthly_cost: Decimal | None = None
    pool: Pool | None = None

    @property
    def as_fields(self) -> dict[str, Any]:
        """As the fields of an order."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "features": NumberOrder.features_text(self.features),
            "type": self.type or "",
        }


@dataclass(frozen=True, kw_only=True)
class Approval:
    """The bounds of what somebody was shown and agreed to buy: how many, the dearest, and the total, EUR a month.

    count includes those of unknown cost, of which there may be `unknown`. They add nothing to the total.
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
class Plan:
    """What a run of the order would do now. begun: the numbers that earlier runs have bought, or may have."""

    order: NumberOrder
    begun: list[VirtualNumber]
    candidates: list[AvailableNumber]

    @property
    def missing(self) -> int:
        """How many numbers short the carrier is."""
        return self.order.count - len(self.begun) - len(self.candidates)

    @property
    def costs(self) -> list[Decimal | None]:
        """What each number that is to be bought costs, EUR a month; those in doubt too, which perhaps are bought."""
        in_doubt = [number.monthly_cost for number in self.begun if number.state == NumberState.ORDERED]
        return in_doubt + [candidate.monthly_cost for candidate in self.candidates]

    @property
    def approval(self) -> Approval:
        """What a yes to this plan allows."""
        return Approval.of(self.costs)


def order_for(spec: OrderSpec, *, again: bool = False) -> NumberOrder:
    """The unfinished order for exactly this, else one that has just ended, else a new one, not saved.

    One that has just ended is the same request: whoever asked may have been killed before they learned how it ended.
    again: it is not, as many more are wanted.
    """
    alike = NumberOrder.objects.filter(**spec.as_fields, top_up=None)
    begun = alike.filter(state=OrderState.OPEN).order_by("pk").first()
    if begun is None and not again:
        ended = Q(events__new_state=F("state"), events__created_at__gte=timezone.now() - JUST_ENDED)
        begun = next((order for order in alike.filter(ended) if _still_stands(order)), None)
    return begun or NumberOrder(**spec.as_fields)


def _still_stands(order: NumberOrder) -> bool:
    """Ended, and not undone since by releasing its numbers."""
    if order.state == OrderState.COMPLETE:
        return order.numbers.ours().count() >= order.count
    return order.state == OrderState.SHORT


def find_or_open_order(spec: OrderSpec, *, again: bool = False) -> NumberOrder:
    """As `order_for`, and saved. Two that begin at once share one order."""
    with transaction.atomic():
        hold_writers(NumberOrder)
        order = order_for(spec, again=again)
        if order._state.adding:
            order.save(force_insert=True)
            order.record(order.state, reason="opened")
    return order


def plan(order: NumberOrder) -> Plan:
    """What `fulfil` would buy now, to be shown before it does. The order need not be saved."""
    begun = [] if order._state.adding else list(order.numbers.in_pool())
    room = max(order.count - len(begun), 0) if order.state == OrderState.OPEN else 0
    candidates = islice(_candidates(order, {}), room)
    return Plan(order=order, begun=begun, candidates=list(candidates))


def fulfil(order: NumberOrder, *, approval: Approval | None = None) -> Iterator[Step]:
    """Buy and configure what the order still lacks, telling each step. Killed anywhere, it can be run again.

    approval: buys nothing that it does not cover; where the carrier has only such numbers left, the order stays open.
    None: nobody was asked, and the order's own limits hold. Purchases in doubt are settled all the same: they may be
    ours already. Raises CarrierError when it cannot go on; the order then stays open.
    """
    obstacles: dict[str, Obstacle] = {}
    for step in settle(order):
        if step.kind == StepKind.REFUSED:
            obstacles[step.number.number] = Obstacle.REFUSED
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
        intended = _intend(order, candidate)
        if intended is None:
            if found := budget.obstacle(order, candidate):  # Another run has just spent what was left.
                obstacles[candidate.number] = found
            continue
        for step in _buy_and_configure(intended, in_doubt=False):
            refusals = refusals + 1 if step.kind == StepKind.REFUSED else 0
            if step.kind == StepKind.REFUSED:
                obstacles[intended.number] = Obstacle.REFUSED
            if approval is not None and step.kind == StepKind.BOUGHT:
                approval = approval.after(intended.monthly_cost)
            yield step
        if refusals == MOST_REFUSALS:
            raise Refused(f"{refusals} numbers in a row were refused, the last because: {step.detail}")
    end(order, budget.told(order, obstacles) if is_wanting and not has_uncovered else "")


def settle(order: NumberOrder) -> Iterator[Step]:
    """Find out what became of the purchases that were begun, and configure what is bought. Begins no other."""
    yield from configure(order.numbers.filter(state=NumberState.CONFIGURING))
    for number in order.numbers.filter(state=NumberState.ORDERED):
        yield from _buy_and_configure(number, in_doubt=True)


def end(order: NumberOrder, why_short: str = "") -> None:
    """End the order; unless another run is still buying for it, which ends it then.

    why_short: what keeps it from buying more; "": nothing does, and unless it has all, it stays open.
    """
    with transaction.atomic():
        locked = NumberOrder.objects.select_for_update().get(pk=order.pk)
        ours = locked.numbers.ours().count()
        is_being_bought = locked.numbers.being_bought().exists()
        if locked.state == OrderState.OPEN and ours >= locked.count:
            locked.move(OrderState.COMPLETE, reason=_told_complete(ours, locked.count))
        elif locked.state == OrderState.OPEN and why_short and not is_being_bought:
            locked.move(OrderState.SHORT, reason=f"{ours} of {locked.count} are ours: {why_short}")
    order.refresh_from_db(fields=["state"])


def _candidates(order: NumberOrder, obstacles: dict[str, Obstacle]) -> Iterator[AvailableNumber]:
    """Numbers for rent that the order could take, each once. obstacles: is told why it cannot take the others.

    What we buy on the way drops out of the carrier's list and the rest moves up, past the page that is fetched next.
    So the search begins anew until it brings nothing new.
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
    """Is it in the pool, or the number of a participant?"""
    return VirtualNumber.objects.in_pool().filter(number=number).exists() or is_of_a_participant(number)


def _has_room(order: NumberOrder) -> bool:
    # Its top-up is read anew, too: staff may have changed the budget since.
    order.refresh_from_db(fields=["state", "top_up"])
    return order.state == OrderState.OPEN and order.numbers.in_pool().count() < order.count


def _intend(order: NumberOrder, candidate: AvailableNumber) -> VirtualNumber | None:
    """Store that we are about to buy this number.

    None: by now the order has no more room, or not enough money left, or the number is taken.
    """
    reason = f"to be bought for {order}"
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
        # One run at a time counts and inserts, so that two together exceed neither the count nor the budget: of the
        # orders of one top-up, only one is open.
        locked = NumberOrder.objects.select_for_update().get(pk=order.pk)
        if not _has_room(locked) or _is_taken(row.number) or budget.obstacle(locked, candidate):
            return None
        retired = VirtualNumber.objects.filter(number=row.number).first()
        try:
            with transaction.atomic():
                if retired is not None:
                    names = ("country", "type", "can_sms", "monthly_cost", "order", "pool", "is_reserved")
                    changes = {name: getattr(row, name) for name in names}
                    return retired.move(NumberState.ORDERED, reason=reason, webhook_url="", **changes)
                row.save(force_insert=True)
                row.record(row.state, reason=reason)
                return row
        except (IntegrityError, StaleState):
            return None  # Another order has just taken it.


def _buy_and_configure(number: VirtualNumber, *, in_doubt: bool) -> Iterator[Step]:
    step = purchase(number, in_doubt=in_doubt)
    yield step
    if step.kind == StepKind.BOUGHT:
        yield from configure([number])


def _told_complete(ours: int, count: int) -> str:
    if ours > count:
        return f"{ours} numbers are ours, {ours - count} more than was asked for"
    return "its one number is ours" if count == 1 else f"all {count} numbers are ours"

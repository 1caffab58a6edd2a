"""Provisioning: searching, buying and configuring virtual numbers, knowingly and never more than was asked for.

The intent to buy a number is stored before the purchase, as a row in the state "ordered", and the numbers of an order
that are not retired never exceed its count. So whatever happens in between, the next run knows which purchases may
have gone through, settles them with the carrier, and goes on with what is still missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import islice

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from numbers.configuring import configure
from numbers.locks import hold_writers
from numbers.models import NumberOrder, NumberState, OrderState, VirtualNumber
from numbers.patience import search
from numbers.purchasing import is_of_a_participant, purchase
from numbers.steps import Step, StepKind
from smsproxy.carriers.base import AvailableNumber, Feature, NumberType, PatternPlace, Refused
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


@dataclass(frozen=True, kw_only=True)
class Approval:
    """What somebody was shown and agreed to: the cost of each number, None where the carrier does not say.

    Each number that is bought takes the place of one that was shown and cost as much or more; one of unknown cost takes
    the place of one of unknown cost. So there are never more of them, nor dearer ones, nor do they cost more together.
    """

    costs: tuple[Decimal | None, ...]

    def places_for(self, cost: Decimal | None) -> Sequence[Decimal | None]:
        """The costs of those whose place a number of this cost may take, the least first."""
        if cost is None:
            return [shown for shown in self.costs if shown is None]
        return sorted(shown for shown in self.costs if shown is not None and shown >= cost)

    def after(self, cost: Decimal | None) -> "Approval":
        """What is left of it once a number of this cost is bought."""
        left = list(self.costs)
        for place in self.places_for(cost)[:1]:
            left.remove(place)
        return Approval(costs=tuple(left))


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
        return Approval(costs=tuple(self.costs))


def order_for(spec: OrderSpec, *, again: bool = False) -> NumberOrder:
    """The unfinished order for exactly this, else one that has just ended, else a new one, not saved.

    One that has just ended is the same request: whoever asked may have been killed before they learned how it ended.
    again: it is not, as many more are wanted.
    """
    wanted = asdict(spec) | {"features": NumberOrder.features_text(spec.features), "type": spec.type or ""}
    alike = NumberOrder.objects.filter(**wanted)
    begun = alike.filter(state=OrderState.OPEN).order_by("pk").first()
    if begun is None and not again:
        ended = Q(events__new_state=F("state"), events__created_at__gte=timezone.now() - JUST_ENDED)
        begun = next((order for order in alike.filter(ended) if _still_stands(order)), None)
    return begun or NumberOrder(**wanted)


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
    begun = [] if order._state.adding else list(order.numbers.exclude(state=NumberState.RETIRED))
    room = max(order.count - len(begun), 0) if order.state == OrderState.OPEN else 0
    candidates = islice(_candidates(order), room)
    return Plan(order=order, begun=begun, candidates=list(candidates))


def fulfil(order: NumberOrder, *, approval: Approval | None = None) -> Iterator[Step]:
    """Buy and configure what the order still lacks, telling each step. Killed anywhere, it can be run again.

    approval: buys nothing that it does not cover; where the carrier has only such numbers left, the order stays open.
    None: nobody was asked, and the order's own limits hold. Purchases in doubt are settled all the same: they may be
    ours already. Raises CarrierError when it cannot go on; the order then stays open.
    """
    yield from configure(order.numbers.filter(state=NumberState.CONFIGURING))
    for number in order.numbers.filter(state=NumberState.ORDERED):
        for step in _buy_and_configure(number, in_doubt=True):
            if approval is not None and step.kind == StepKind.BOUGHT:
                approval = approval.after(number.monthly_cost)
            yield step

    candidates = _candidates(order)
    refusals = 0
    has_uncovered = False
    while is_wanting := _has_room(order):
        candidate = next(candidates, None)
        if candidate is None:
            break
        if approval is not None and not approval.places_for(candidate.monthly_cost):
            has_uncovered = True
            if not approval.costs:
                break
            continue
        intended = _intend(order, candidate)
        if intended is None:
            continue
        for step in _buy_and_configure(intended, in_doubt=False):
            refusals = refusals + 1 if step.kind == StepKind.REFUSED else 0
            if approval is not None and step.kind == StepKind.BOUGHT:
                approval = approval.after(intended.monthly_cost)
            yield step
        if refusals == MOST_REFUSALS:
            raise Refused(f"{refusals} numbers in a row were refused, the last because: {step.detail}")
    _end(order, is_exhausted=is_wanting and not has_uncovered)


def _candidates(order: NumberOrder) -> Iterator[AvailableNumber]:
    """Numbers for rent that the order could take, each once.

    What we buy on the way drops out of the carrier's list and the rest moves up, past the page that is fetched next.
    So the search begins anew until it brings nothing new.
    """
    seen: set[str] = set()
    while True:
        before = len(seen)
        for candidate in search(order.query):
            if candidate.number in seen or not _is_affordable(candidate, order) or _is_taken(candidate.number):
                continue
            seen.add(candidate.number)
            yield candidate
        if len(seen) == before:
            return


def _is_affordable(candidate: AvailableNumber, order: NumberOrder) -> bool:
    limit = order.max_monthly_cost
    return limit is None or (candidate.monthly_cost is not None and candidate.monthly_cost <= limit)


def _is_taken(number: str) -> bool:
    """Is it in the pool, or the number of a participant?"""
    in_pool = VirtualNumber.objects.filter(number=number).exclude(state=NumberState.RETIRED)
    return in_pool.exists() or is_of_a_participant(number)


def _has_room(order: NumberOrder) -> bool:
    order.refresh_from_db(fields=["state"])
    return order.state == OrderState.OPEN and order.numbers.exclude(state=NumberState.RETIRED).count() < order.count


def _intend(order: NumberOrder, candidate: AvailableNumber) -> VirtualNumber | None:
    """Store that we are about to buy this number. None: the order has no more room, or the number is taken by now."""
    reason = f"to be bought for {order}"
    row = VirtualNumber.of(
        candidate.number,
        order.country,
        candidate.type,
        candidate.features,
        monthly_cost=candidate.monthly_cost,
        order=order,
    )
    with transaction.atomic():
        # One run at a time counts and inserts, so that two together cannot exceed the count.
        locked = NumberOrder.objects.select_for_update().get(pk=order.pk)
        if not _has_room(locked) or _is_taken(row.number):
            return None
        retired = VirtualNumber.objects.filter(number=row.number).first()
        try:
            with transaction.atomic():
                if retired is not None:
                    fields = ("country", "type", "can_sms", "monthly_cost", "order")
                    changes = {field: getattr(row, field) for field in fields}
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


def _end(order: NumberOrder, *, is_exhausted: bool) -> None:
    """End the order; unless another run is still buying for it, which ends it then."""
    with transaction.atomic():
        locked = NumberOrder.objects.select_for_update().get(pk=order.pk)
        ours = locked.numbers.ours().count()
        is_being_bought = locked.numbers.filter(state=NumberState.ORDERED).exists()
        if locked.state == OrderState.OPEN and ours >= locked.count:
            locked.move(OrderState.COMPLETE, reason=_told_complete(ours, locked.count))
        elif locked.state == OrderState.OPEN and is_exhausted and not is_being_bought:
            locked.move(OrderState.SHORT, reason=f"the carrier has no more: {ours} of {locked.count} are ours")
    order.refresh_from_db(fields=["state"])


def _told_complete(ours: int, count: int) -> str:
    if ours > count:
        return f"{ours} numbers are ours, {ours - count} more than was asked for"
    return "its one number is ours" if count == 1 else f"all {count} numbers are ours"

"""The pools on the first page: how many numbers are free, full or failing, and how many pairs cool down."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from conversations.insight.sampling import COMMON_POOL
from conversations.models import HourlySample
from numbers.models import NumberState, PoolLevel, VirtualNumber
from numbers.models.virtual_number import SERVING

# More pools than a page can show. The list of numbers has a filter for the others.
MAX_POOLS = 20
_WIDTH = 1000


@dataclass(frozen=True)
class Part:
    """A part of a pool's bar. kind: its class. x and width: of _WIDTH."""

    kind: str
    label: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, kw_only=True)
class PoolBar:
    """One pool. The parts of the bar are its numbers.

    live: pairs of a person and a number, open or cooling down. cooling: those that cooled down some minutes ago, None
    until they were counted. left: the numbers that are free for the busiest person of each country, as "GB 3"; is_low:
    too few.
    """

    pool_id: int | None
    name: str
    numbers: int
    parts: Sequence[Part]
    live: int
    cooling: int | None
    left: Sequence[str]
    is_low: bool

    width = _WIDTH

    @property
    def query(self) -> str:
        """The filter of the list of numbers."""
        return "?pool__isnull=True" if self.pool_id is None else f"?pool__id__exact={self.pool_id}"


@dataclass(frozen=True, kw_only=True)
class Pools:
    """The pools with rented numbers. cooling_at: when the pairs that cool down were counted."""

    bars: Sequence[PoolBar]
    has_more: bool
    cooling_at: datetime | None


def collect() -> Pools:
    """Read the numbers, the levels and the last sample, with one query each."""
    sample = HourlySample.objects.exclude(cooling_at=None).order_by("-hour").first()
    levels: defaultdict[int | None, list[PoolLevel]] = defaultdict(list)
    for level in PoolLevel.objects.order_by("country"):
        levels[level.pool_id].append(level)
    rows = list(_counted()[: MAX_POOLS + 1])
    return Pools(
        bars=[
            PoolBar(
                pool_id=row["pool"],
                name=row["pool__name"] or _("Common pool"),
                numbers=row["numbers"],
                parts=_parts(row),
                live=row["live"] or 0,
                cooling=_cooling(sample, row),
                left=[f"{level.country} {level.free}" for level in levels[row["pool"]]],
                is_low=any(level.free < level.least for level in levels[row["pool"]]),
            )
            for row in rows[:MAX_POOLS]
        ],
        has_more=len(rows) > MAX_POOLS,
        cooling_at=sample.cooling_at if sample else None,
    )


def _cooling(sample: HourlySample | None, row: dict[str, Any]) -> int | None:
    """Return the pairs that cooled down at the last count: no more than there are now, for some were released since."""
    counted = None if sample is None else int(sample.cooling.get(str(row["pool"] or COMMON_POOL), 0))
    return None if counted is None else min(counted, row["live"] or 0)


def _counted() -> "QuerySet[VirtualNumber, Any]":
    """Count the rented numbers of each pool. A number is in one of the counts."""
    of_pool = Q(pool__number_cap__gt=0)
    is_full = of_pool & Q(live_pair_count__gte=F("pool__number_cap"))
    if settings.NUMBER_CAP:
        is_full |= ~of_pool & Q(live_pair_count__gte=settings.NUMBER_CAP)
    waits = Q(pace__pause_reason__gt="")
    serves = SERVING & ~waits
    failing = Q(state=NumberState.QUARANTINED) | (Q(state=NumberState.ACTIVE) & waits)
    return (
        VirtualNumber.objects.rented()
        .exclude(state=NumberState.RETIRED)
        .order_by(F("pool__name").asc(nulls_first=True))
        .values("pool", "pool__name")
        .annotate(
            numbers=Count("pk"),
            live=Sum("live_pair_count"),
            free=Count("pk", filter=serves & ~is_full),
            full=Count("pk", filter=serves & is_full),
            failing=Count("pk", filter=failing),
        )
    )


def _parts(row: dict[str, int]) -> list[Part]:
    rest = row["numbers"] - row["free"] - row["full"] - row["failing"]
    kinds = [
        ("free", _("free"), row["free"]),
        ("full", _("full"), row["full"]),
        ("failing", _("failing"), row["failing"]),
        ("rest", _("draining or not configured"), rest),
    ]
    parts, x = [], 0.0
    for kind, label, count in kinds:
        width = _WIDTH * count / row["numbers"]
        parts.append(Part(kind, label, count, round(x, 1), round(width, 1)))
        x += width
    return parts

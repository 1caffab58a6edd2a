"""The figures of the pool page: one row for each pool and country, and a bar for each number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Case, Count, ExpressionWrapper, F, IntegerField, Max, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce
from django.urls import reverse

from numbers.assignment.policy import AssignmentPolicy
from numbers.health import Health
from numbers.models import NumberState, Pool, PoolLevel, VirtualNumber
from numbers.models.pool import pool_name
from numbers.usage import cooling_pair_counts
from smsproxy.webhook_urls import inbound_sms_url

# The width of a bar, in its own units.
WIDTH = 1000

_BADGES = {
    NumberState.ORDERED: "",
    NumberState.CONFIGURING: "warn",
    NumberState.ACTIVE: "good",
    NumberState.DRAINING: "warn",
    NumberState.QUARANTINED: "bad",
    NumberState.RETIRED: "",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A pool and a country. rent: EUR a month. unpriced: rented numbers whose cost the carrier does not say.

    level: how many numbers are left for the busiest person, as last measured; None before that. newest: when the last
    of its numbers was added.
    """

    pool: Pool | None
    country: str
    counts: dict[str, int]
    live: int
    fullest: int
    rent: Decimal
    unpriced: int
    level: PoolLevel | None
    newest: datetime

    @property
    def is_outdated(self) -> bool:
        """Return whether numbers were added after the level was measured."""
        return self.level is not None and self.newest > self.level.measured_at

    @property
    def name(self) -> str:
        return f"{pool_name(self.pool)} · {self.country}"

    @property
    def cap(self) -> int | None:
        return AssignmentPolicy(pool=self.pool).cap

    @property
    def grade(self) -> str:
        """Return the class of the state of its free numbers."""
        if self.level is None or self.is_outdated:
            return ""
        if self.level.free <= 0:
            return "bad"
        return "warn" if self.level.free < self.level.least else "good"

    @property
    def list_query(self) -> str:
        """Return the query of the page with only its numbers."""
        return f"?pool={self.pool.pk if self.pool else 'common'}&country={self.country}"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A number's used pairs against its cap. scale: the pairs of a full bar, which is the cap if there is one."""

    live: int
    cooling: int
    cap: int | None
    scale: int

    @property
    def open(self) -> int:
        return max(self.live - self.cooling, 0)

    @property
    def open_width(self) -> int:
        return _width(self.open, self.scale)

    @property
    def cooling_width(self) -> int:
        return min(_width(self.cooling, self.scale), WIDTH - self.open_width)

    @property
    def is_full(self) -> bool:
        return self.cap is not None and self.live >= self.cap


@dataclass(frozen=True, kw_only=True)
class NumberRow:
    """A number as the page shows it. health: its worst network, None without receipts."""

    number: VirtualNumber
    bar: Bar
    health: Health | None

    @property
    def url(self) -> str:
        return reverse("admin:numbers_virtualnumber_change", args=[self.number.pk])

    @property
    def pool_name(self) -> str:
        return pool_name(self.number.pool)

    @property
    def badge(self) -> str:
        return _BADGES[NumberState(self.number.state)]

    @property
    def reaches_us(self) -> bool | None:
        """Return whether the webhook is ours, or None for a number that is not rented."""
        return self.number.webhook_url == inbound_sms_url() if self.number.is_rented else None

    @property
    def is_failing(self) -> bool:
        return self.health is not None and self.health.is_outlier

    @property
    def lost_percent(self) -> int:
        return round(100 * self.health.share) if self.health else 0


def places() -> list[Place]:
    """Return each pool and country with numbers that are rented or ordered, in order."""
    ours = VirtualNumber.objects.rented_or_ordered()
    states = {state.value: Count("pk", filter=Q(state=state)) for state in NumberState}
    grouped = ours.order_by(F("pool__name").asc(nulls_first=True), "country").values("pool", "country")
    rows: Any = grouped.annotate(
        **states,
        reserved=Count("pk", filter=Q(is_reserved=True)),
        live=Sum("live_pair_count"),
        fullest=Max("live_pair_count"),
        rent=Sum("monthly_cost", filter=Q(is_rented=True), default=Decimal(0)),
        unpriced=Count("pk", filter=Q(is_rented=True, monthly_cost=None)),
        newest=Max("created_at"),
    )
    pools = Pool.objects.in_bulk()
    levels = {(level.pool_id, level.country): level for level in PoolLevel.objects.all()}
    return [
        Place(
            pool=pools.get(row["pool"]),
            counts={name: row[name] for name in [*states, "reserved"]},
            level=levels.get((row["pool"], row["country"])),
            **{name: row[name] for name in ("country", "live", "fullest", "rent", "unpriced", "newest")},
        )
        for row in rows
    ]


def fullest_first(numbers: "QuerySet[VirtualNumber]", scale: int) -> "QuerySet[VirtualNumber]":
    """Order by the used part of the cap. scale: what counts as full for numbers without a cap."""
    cap = Coalesce("pool__number_cap", Value(settings.NUMBER_CAP or max(scale, 1)))
    used = ExpressionWrapper(F("live_pair_count") * WIDTH / cap, output_field=IntegerField())
    return numbers.order_by(used.desc(), "number")


def failing_first(
    numbers: "QuerySet[VirtualNumber]", healths: Iterable[Health], scale: int
) -> "QuerySet[VirtualNumber]":
    """Order by the numbers that stand out for undelivered texts, then by `fullest_first`."""
    failing = [each.number_id for each in healths if each.is_outlier]
    is_failing = Case(When(pk__in=failing, then=0), default=1, output_field=IntegerField())
    ordered = fullest_first(numbers, scale)
    return ordered.order_by(is_failing, *ordered.query.order_by)


def number_rows(numbers: Sequence[VirtualNumber], healths: Iterable[Health], scale: int) -> list[NumberRow]:
    """Return a row for each number. healths: the worst first. scale: see `bar_of`."""
    cooling = cooling_pair_counts(numbers)
    worst: dict[int, Health] = {}
    for health in healths:
        worst.setdefault(health.number_id, health)
    return [
        NumberRow(number=number, bar=bar_of(number, cooling.get(number.pk, 0), scale), health=worst.get(number.pk))
        for number in numbers
    ]


def bar_of(number: VirtualNumber, cooling: int, scale: int) -> Bar:
    """Return the bar of a number. scale: the pairs of the fullest number, for a pool without a cap."""
    cap = AssignmentPolicy(pool=number.pool).cap
    live = number.live_pair_count
    return Bar(live=live, cooling=min(cooling, live), cap=cap, scale=cap or max(scale, live, 1))


def total(found: Sequence[Place]) -> dict[str, Any]:
    """Return the sums over all pools: numbers that take new conversations, and the rent."""
    return {
        "active": sum(place.counts[NumberState.ACTIVE] for place in found),
        "rent": sum((place.rent for place in found), Decimal(0)),
        "fullest": max((place.fullest for place in found), default=0),
    }


def _width(pairs: int, scale: int) -> int:
    return min(pairs * WIDTH // scale, WIDTH)

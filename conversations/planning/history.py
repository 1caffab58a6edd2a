"""Load the demand of a pool day by day, in one pass over the rows, for several cool-downs at once.

A pair of numbers is live from the creation of its participant until its cool-down ends (that moment excluded).
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from django.db.models import Case, DateTimeField, F, Q, QuerySet, Sum, TextField, When
from django.db.models.functions import Cast, Coalesce, Substr

from conversations.models import OutboundMessage, Participant
from conversations.planning.deadline import Deadline
from conversations.planning.peaks import Peaks, begins, ends, max_concurrent
from numbers.assignment.choose import Preference
from numbers.models import Pool
from numbers.models.pool import cool_down_of

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Window:
    """A period of whole UTC days, of which the last is today and ends now."""

    at: datetime
    days: int

    @property
    def first(self) -> date:
        return self.last - timedelta(days=self.days - 1)

    @property
    def last(self) -> date:
        return self.at.astimezone(UTC).date()

    @cached_property
    def since(self) -> datetime:
        return datetime.combine(self.first, time.min, UTC)

    def moment(self, at: datetime) -> int:
        """Return the microseconds from the beginning of the window to this time."""
        return micros(at - self.since)


def micros(duration: timedelta) -> int:
    """Return the duration in microseconds."""
    return duration // _MICROSECOND


FAR_FUTURE = 2**62
"""A time later than all others."""


class PairLifetime(NamedTuple):
    """The lifetime of a pair of numbers.

    closed: when its cool-down began: its conversation ended, its number was replaced, or its phone left. let_go: when
    it was released, if that was before the end of the cool-down.
    """

    begun: int
    closed: int = FAR_FUTURE
    let_go: int = FAR_FUTURE


class Demand:
    """The demand of one country's people on a pool, with its own cool-down and with others.

    Cool-downs and `until`, the end of the history, are in microseconds.
    """

    def __init__(self, days: int, until: int, cool_down: int, others: Iterable[int] = ()) -> None:
        self._days = days
        self._until = until
        self._cool_down = cool_down
        self._busiest = Peaks(days)
        self._lives = (array("q"), array("q"), array("q"))
        self.first = FAR_FUTURE
        """When the earliest pair began. It may lie before the window."""
        self.busiest_with = dict.fromkeys(others, 0)
        """The maximum of live conversations of one person, for each of the other cool-downs."""
        self.segments = [0] * days
        """The segments of the busiest minute of each day."""

    def add_person(self, spans: Sequence[PairLifetime]) -> None:
        """Add all pairs of one person."""
        until = self._until
        self.first = min([self.first, *(span.begun for span in spans)])
        lives = [
            (min(max(begun, 0), until), closed, min(let_go, until))  # Clipped to the window.
            for begun, closed, let_go in spans
        ]
        for column, values in zip(self._lives, zip(*lives, strict=True), strict=False):
            column.extend(values)
        self._busiest.add(_events(lives, self._cool_down))
        for cool_down, busiest in self.busiest_with.items():
            # Live conversations cannot exceed conversations, so this skips nearly everyone.
            if len(lives) > busiest:
                self.busiest_with[cool_down] = max(busiest, max_concurrent(_events(lives, cool_down)))

    def add_minute(self, day: int, segments: int) -> None:
        """Add the segments of one minute."""
        self.segments[day] = max(self.segments[day], segments)

    def busiest(self) -> list[int]:
        """Return the maximum of live conversations of one person, for each day."""
        return self._busiest.by_day()

    def live(self) -> list[int]:
        """Return the maximum of live participants, for each day."""
        peaks = Peaks(self._days)
        peaks.add(_events(zip(*self._lives, strict=True), self._cool_down))
        return peaks.by_day()

    def live_with(self, cool_down: int) -> int:
        """Return the maximum of live participants with another cool-down."""
        return max_concurrent(_events(zip(*self._lives, strict=True), cool_down))


def _events(lives: Iterable[tuple[int, ...]], cool_down: int) -> list[int]:
    events = []
    for begun, closed, latest in lives:
        events.append(begins(begun))
        events.append(ends(max(begun, min(closed + cool_down, latest))))
    return events


def load_demand(
    pool: Pool | None,
    window: Window,
    cool_down: timedelta,
    others: Sequence[timedelta] = (),
    *,
    country: str | None = None,
    deadline: Deadline | None = None,
) -> Mapping[str, Demand]:
    """Return the demand by country of the people. A country without history has an empty demand.

    Raises DeadlineExceeded.
    """
    deadline = deadline or Deadline()
    until = window.moment(window.at)
    demands: dict[str, Demand] = defaultdict(
        lambda: Demand(window.days, until, micros(cool_down), [micros(other) for other in others])
    )
    with deadline.for_database():
        for of_country, spans in _people(pool, window, max(cool_down, *others), country):
            deadline.check()
            demands[of_country].add_person(spans)
    with deadline.for_database():
        for of_country, day, segments in _minutes(pool, window, country):
            deadline.check()
            demands[of_country].add_minute(day, segments)
    return demands


def _people(
    pool: Pool | None, window: Window, longest: timedelta, country: str | None
) -> Iterator[tuple[str, list[PairLifetime]]]:
    """Yield each person's country, with the pairs that may have been live in the window."""
    is_replaced = Q(replaced_by__isnull=False)
    left_before_the_end = Q(removed_at__isnull=False) & (
        Q(conversation__closed_at__isnull=True) | Q(conversation__closed_at__gt=F("removed_at"))
    )
    rows = (
        Participant.objects.filter(
            Q(conversation__closed_at__isnull=True) | Q(conversation__closed_at__gt=window.since - longest),
            conversation__pool=pool,
            conversation__created_at__lt=window.at,
        )
        # A reserved number that a request named does not use up an assignable number.
        .exclude(chosen_by=Preference.NAMED, proxy_number__is_reserved=True)
        .order_by("real_number_id")
        .values_list(
            "real_number_id",
            "real_number__country",
            _written("created_at"),
            Case(
                When(is_replaced, then=_written(_began_to_cool_down(pool))),
                When(left_before_the_end, then=_written("removed_at")),
                default=_written("conversation__closed_at"),
            ),
            Case(When(released_at__lt=F("release_at"), then=_written("released_at"))),
        )
    )
    if country is not None:
        rows = rows.filter(real_number__country=country)

    def moment(written: str | None) -> int:
        return FAR_FUTURE if written is None else window.moment(_parsed(written))

    for (_, of_country), theirs in groupby(rows.iterator(chunk_size=5000), key=lambda row: row[:2]):
        yield (
            of_country,
            [
                PairLifetime(moment(created_at), moment(closed_at), moment(let_go))
                for _, _, created_at, closed_at, let_go in theirs
            ],
        )


def _began_to_cool_down(pool: Pool | None) -> Coalesce:
    """Return when a replaced number began to cool down, or its release if that time was not stored."""
    return Coalesce(F("release_at") - cool_down_of(pool), "released_at", output_field=DateTimeField())


def _written(field: Any) -> Cast:
    """Return a time as the database's text, in UTC. Django's own conversion takes longer than all other work."""
    return Cast(field, TextField())


def _parsed(written: str) -> datetime:
    """Parse "2026-11-22 12:00:00.5", to which PostgreSQL appends "+00"."""
    return datetime.fromisoformat(f"{written.removesuffix('+00')}+00")


def _minutes(pool: Pool | None, window: Window, country: str | None) -> Iterator[tuple[str, int, int]]:
    """Yield country, day and segments for each minute, counting all segments that were queued."""
    messages: QuerySet[OutboundMessage] = OutboundMessage.objects.filter(
        created_at__gte=window.since, created_at__lt=window.at, sender__pool=pool
    )
    if country is not None:
        messages = messages.filter(recipient__country=country)
    minute = Substr(_written("created_at"), 1, len("2026-11-22 12:00"))
    rows = messages.order_by().values_list("recipient__country", minute).annotate(Sum("segments"))
    for of_country, written, segments in rows.iterator(chunk_size=5000):
        yield of_country, (_parsed(written).date() - window.first).days, segments

"""The figures of the last hours, from the samples that sampling.py takes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from conversations.insight.sampling import DELIVERED, FAILED, HISTOGRAMS, bucket_name
from conversations.models import HourlySample
from conversations.models.hourly_sample import HOUR, hour_of
from smsproxy.metrics.quantile import Quantile, estimate


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counts by kind, of an hour or of several."""

    counts: Mapping[str, float]

    def count(self, figure: str) -> int:
        return round(self.counts.get(figure, 0))

    @property
    def delivery_rate(self) -> float | None:
        """Return the part of the messages with a known fate that reached the phone, or None without any."""
        settled = self.count(DELIVERED) + self.count(FAILED)
        return self.count(DELIVERED) / settled if settled else None

    def quantile(self, figure: str, part: float) -> Quantile | None:
        """Return the estimated duration in seconds. figure: TO_CARRIER or TO_PHONE."""
        bounds = HISTOGRAMS[figure].bounds
        return estimate(part, [(float(bound), self.counts.get(bucket_name(figure, bound), 0)) for bound in bounds])


@dataclass(frozen=True, kw_only=True)
class Hour(Figures):
    """One hour. is_known: a worker took samples. Without it the counts are empty. is_complete: of the whole hour.

    since and until: the moments between which its events were counted.
    """

    at: datetime
    is_known: bool
    is_complete: bool
    is_present: bool
    since: datetime | None = None
    until: datetime | None = None
    counts: Mapping[str, float] = field(default_factory=dict)


def last_hours(now: datetime, hours: int) -> list[Hour]:
    """Return this many hours, the oldest first. The last one is the present hour, which is not over."""
    present = hour_of(now)
    samples = {sample.hour: sample for sample in HourlySample.objects.since_hour(present - (hours - 1) * HOUR)}
    begins = [present - back * HOUR for back in reversed(range(hours))]
    return [_hour(begin, samples.get(begin), is_present=begin == present) for begin in begins]


def together(hours: Iterable[Hour]) -> Figures:
    """Return the sums of these hours."""
    total: Counter[str] = Counter()
    for hour in hours:
        total.update(hour.counts)
    return Figures(counts=total)


def _hour(at: datetime, sample: HourlySample | None, *, is_present: bool) -> Hour:
    if sample is None:
        return Hour(at=at, is_known=False, is_complete=False, is_present=is_present)
    return Hour(
        at=at,
        is_known=True,
        is_complete=sample.is_complete or (is_present and sample.since <= at),
        is_present=is_present,
        since=sample.since,
        until=sample.until,
        counts=sample.figures,
    )

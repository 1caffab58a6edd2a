"""What was counted in each hour: samples of the counters of /metrics, so that no page counts messages.

insight/sampling.py takes a sample each minute. A counter says how many events there ever were, so the figures of an
hour are differences of samples.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models

HOUR = timedelta(hours=1)
# Two samples at most this far apart are joined across the end of an hour. What was counted between them belongs to the
# later hour. After a longer silence nobody knows which hour it belongs to, so it belongs to none.
JOINED_WITHIN = timedelta(minutes=10)

Counts = Mapping[str, float]


def hour_of(at: datetime) -> datetime:
    """Return the begin of the hour of this moment in UTC."""
    return at.replace(minute=0, second=0, microsecond=0)


def growth(before: Counts, after: Counts) -> dict[str, float]:
    """Return by how much each counter has grown: 0 if it was not sampled before.

    A counter that became smaller was deleted, and has counted from 0 since.
    """
    known = {name: before.get(name, value) for name, value in after.items()}
    return {name: value - known[name] if value >= known[name] else value for name, value in after.items()}


class HourlySampleQuerySet(models.QuerySet["HourlySample"]):
    def since_hour(self, hour: datetime) -> Self:
        """Return the samples of this hour and of later ones, the oldest first."""
        return self.filter(hour__gte=hour).order_by("hour")


class HourlySample(models.Model):
    """The events of one hour. An hour in which no worker ran has no row."""

    hour = models.DateTimeField(unique=True, help_text="The begin of the hour, UTC.")
    since = models.DateTimeField(help_text="The figures count from this moment on.")
    until = models.DateTimeField(help_text="When the last sample of the hour was taken.")
    figures = models.JSONField(default=dict, help_text="The events between these two moments, by kind.")
    counters = models.JSONField(default=dict, help_text="The counters at the last sample.")
    cooling = models.JSONField(default=dict, help_text="Pairs that cool down, by id of the pool. 0: the common pool.")
    cooling_at = models.DateTimeField(null=True, blank=True, help_text="When those pairs were counted.")

    objects = HourlySampleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-hour"]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M} UTC"

    @property
    def is_complete(self) -> bool:
        """Return whether it counts the whole hour, within the minutes that JOINED_WITHIN allows."""
        return self.since <= self.hour and self.until >= self.hour + HOUR - JOINED_WITHIN

    def advance(self, counters: Counts, at: datetime) -> None:
        """Add what was counted since the last sample, in the same hour. The caller saves."""
        for name, grown in growth(self.counters, counters).items():
            self.figures[name] = self.figures.get(name, 0) + grown
        self.counters, self.until = dict(counters), at

    @classmethod
    def following(cls, before: "HourlySample | None", counters: Counts, at: datetime) -> "HourlySample":
        """Return the first sample of an hour, not saved. before: the last sample of an earlier hour."""
        hour = hour_of(at)
        if before is None or at - before.until > JOINED_WITHIN:
            return cls(hour=hour, since=at, until=at, figures=dict.fromkeys(counters, 0), counters=dict(counters))
        return cls(
            hour=hour,
            since=before.until,
            until=at,
            figures=growth(before.counters, counters),
            counters=dict(counters),
            cooling=before.cooling,
            cooling_at=before.cooling_at,
        )

"""The clocks of our hosts, each measured against the database's."""

import socket
from datetime import datetime, timedelta
from typing import Self

from django.db import connection, models
from django.db.models.functions import Abs

from smsproxy.database.clock import DatabaseNow, database_now, measure_skew

# Seconds by which a host's clock may differ from the database's before it is a trouble.
MAX_SKEW = 2.0
# A host counts as in use for this long after its last measurement. Web hosts measure once a minute under load.
IN_USE_FOR = timedelta(minutes=10)


class HostClockQuerySet(models.QuerySet["HostClock"]):
    def measure(self) -> float:
        """Measure the clock of this host and store the result. Return the seconds by which it is ahead.

        A SQLite database has the clock of its host: return 0, and store nothing.
        """
        if connection.vendor != "postgresql":
            return 0.0
        skew = measure_skew()
        row = HostClock(host=socket.gethostname()[:200], skew_seconds=skew, measured_at=DatabaseNow())
        HostClock.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["host"], update_fields=["skew_seconds", "measured_at"]
        )
        return skew

    def in_use(self, at: datetime) -> Self:
        """Return the hosts that were measured recently at this moment, the worst clock first."""
        recent = self.filter(measured_at__gt=at - IN_USE_FOR)
        return recent.order_by(Abs("skew_seconds").desc(), "host")


class HostClock(models.Model):
    """The clock of a host with web processes or workers."""

    host = models.CharField(max_length=200, unique=True)
    skew_seconds = models.FloatField(
        help_text="Seconds by which its clock is ahead of the database's. Negative: behind."
    )
    measured_at = models.DateTimeField(default=database_now)

    objects = HostClockQuerySet.as_manager()

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return f"{self.host}: {describe_skew(self.skew_seconds)}"


def describe_skew(seconds: float) -> str:
    """Return the difference in words, such as "600 s ahead of that of the database"."""
    amount = abs(seconds)
    figure = f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}"
    return f"{figure} s {'ahead of' if seconds > 0 else 'behind'} that of the database"

"""The search for messages of unknown outcome in the carrier's records: its schedule, its limits and its errors."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from smsproxy.carriers.base import TemporaryFailure
from smsproxy.database.clock import database_now

# The searches for one message, after the end of its attempt. A carrier's records appear with a delay of unknown length.
SEARCH_AFTER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
# A message that could not be searched for is left to staff after this. It may still be found for another day.
STAFF_AFTER = SEARCH_AFTER[-1] + timedelta(minutes=15)
# The time that a search may take, before UNKNOWN_OUTCOME_POLICY resends the message.
SEARCH_TIME = timedelta(minutes=1)
# The lease of the worker that searches, renewed with each request. Longer than a request may take.
SEARCH_LEASE = timedelta(minutes=3)
_HOUR = timedelta(hours=1)


class SearchLeaseLost(Exception):
    """Another worker searches the carrier's records: this one was silent for too long."""


class RecordSearch(models.Model):
    """The single row of the search in the carrier's records. One worker at a time holds its lease."""

    busy_until = models.DateTimeField(null=True, blank=True, help_text="The lease of the worker that searches.")
    hour_began_at = models.DateTimeField(null=True, blank=True, help_text="The hour of the requests below.")
    requests = models.PositiveIntegerField(default=0, help_text="Requests in that hour.")
    last_error = models.CharField(max_length=300, blank=True, help_text="Empty: the last search succeeded.")
    failing_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed searches in a row.")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="The time of the next search after an error.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_record_search")]
        verbose_name_plural = "record searches"

    def __str__(self) -> str:
        return f"record search: {self.last_error or 'no error'}"

    @classmethod
    def take(cls) -> "RecordSearch | None":
        """Take the lease. Return None if another worker holds it, or if the last error is too recent."""
        row, _ = cls.objects.get_or_create(pk=1)
        now = database_now()
        for name in ("busy_until", "retry_at"):
            at = getattr(row, name)
            if at is not None and at > now:
                return None
        until = now + SEARCH_LEASE
        # As it was read: otherwise another worker was faster.
        if not cls.objects.filter(pk=1, busy_until=row.busy_until, retry_at=row.retry_at).update(busy_until=until):
            return None
        row.busy_until = until
        return row

    def spend(self) -> None:
        """Count a request before it is made, and renew the lease.

        Raises TemporaryFailure if this hour's requests are used up, and SearchLeaseLost.
        """
        now = database_now()
        if self.hour_began_at is None or not self.hour_began_at <= now < self.hour_began_at + _HOUR:
            self.hour_began_at, self.requests = now, 0
        limit = settings.RECONCILE_REQUESTS_PER_HOUR
        if self.requests >= limit:
            wait = (self.hour_began_at + _HOUR - now).total_seconds()
            raise TemporaryFailure(f"the limit of {limit} requests an hour is used up", retry_after=wait)
        self._change(busy_until=now + SEARCH_LEASE, hour_began_at=self.hour_began_at, requests=self.requests + 1)

    def release(self) -> None:
        """Release the lease. The last error stays."""
        self._change(busy_until=None)

    def succeed(self) -> None:
        """Release the lease after a search without an error."""
        self._change(busy_until=None, last_error="", failing_since=None, failures=0, retry_at=None)

    def fail(self, error: str, wait: timedelta) -> None:
        """Release the lease, and search again after this wait."""
        now = database_now()
        self._change(
            busy_until=None,
            last_error=error[:300],
            failing_since=self.failing_since or now,
            failures=self.failures + 1,
            retry_at=now + wait,
        )

    def _change(self, **changes: "datetime | int | str | None") -> None:
        if not RecordSearch.objects.filter(pk=1, busy_until=self.busy_until).update(**changes):
            raise SearchLeaseLost
        for name, value in changes.items():
            setattr(self, name, value)

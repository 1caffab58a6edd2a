"""The live workers, by their own heartbeats."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.utils import timezone

# Seconds between two heartbeats, and seconds without one after which a worker counts as dead.
HEARTBEAT = 5.0
DEAD_AFTER = 20.0
PURGE_AFTER = timedelta(days=1)


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self, at: datetime) -> Self:
        """Return the workers whose heartbeat is recent at this moment."""
        return self.filter(seen_at__gt=at - timedelta(seconds=DEAD_AFTER))

    def of_host(self, host: str) -> Self:
        return self.filter(name__startswith=f"{host}, process ")


class Worker(models.Model):
    """A process that runs `manage.py relay`. It deletes its row when it stops; a killed one falls silent."""

    name = models.CharField(max_length=200, unique=True, help_text="Host and process.")
    version = models.CharField(max_length=40, blank=True, db_default="", default="", help_text="Of its code.")
    concurrency = models.PositiveIntegerField(help_text="The maximum number of concurrent calls to the carrier.")
    in_flight = models.PositiveIntegerField(default=0, help_text="The number of calls in flight at the last heartbeat.")
    trouble = models.CharField(max_length=200, blank=True, help_text="Why it sends nothing. Empty: it sends.")
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["started_at"]

    def __str__(self) -> str:
        return self.name

    def is_alive(self, at: datetime) -> bool:
        return self.seen_at > at - timedelta(seconds=DEAD_AFTER)

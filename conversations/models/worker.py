"""The live workers, by their own heartbeats."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol, Self, TypeVar

from django.db import models
from django.utils import timezone

# Seconds between two heartbeats, and seconds without one after which a worker counts as dead.
HEARTBEAT = 5.0
DEAD_AFTER = 20.0
PURGE_AFTER = timedelta(days=1)


class _Seen(Protocol):
    @property
    def seen_at(self) -> datetime: ...


Silent = TypeVar("Silent", bound=_Seen)


def unreplaced(starts: Iterable[datetime], silent: Iterable[Silent]) -> list[Silent]:
    """Return the silent workers that no start has replaced, the one that is silent for longest first.

    starts: of all workers, the silent ones too. Each replaces the one that is silent for longest at that moment.
    """
    started: list[tuple[datetime, Silent | None]] = [(at, None) for at in starts]
    fell_silent = [(worker.seen_at, worker) for worker in silent]
    waiting: list[Silent] = []
    for _, worker in sorted([*started, *fell_silent], key=lambda event: event[0]):
        waiting = waiting[1:] if worker is None else [*waiting, worker]
    return waiting


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self, at: datetime) -> Self:
        """Return the workers whose heartbeat is recent at this moment."""
        return self.filter(seen_at__gt=at - timedelta(seconds=DEAD_AFTER))

    def forgettable(self, at: datetime) -> Self:
        """Return the silent workers if each was replaced, otherwise those that are silent for a day."""
        workers = list(self)
        silent = [worker for worker in workers if not worker.is_alive(at)]
        if unreplaced((worker.started_at for worker in workers), silent):
            silent = [worker for worker in silent if worker.seen_at < at - PURGE_AFTER]
        return self.filter(pk__in=[worker.pk for worker in silent]) if silent else self.none()

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

"""The lease on work that one worker does for all of them."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from smsproxy.database.clock import DatabaseNow, database_now


class JobLeaseQuerySet(models.QuerySet["JobLease"]):
    def take(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease for some seconds. Return False if another holder has it."""
        until = DatabaseNow() + timedelta(seconds=seconds)
        free_or_ours = Q(holder=holder) | Q(expires_at__lte=DatabaseNow())
        if self.filter(free_or_ours, name=name).update(holder=holder, expires_at=until):
            return True
        if self.filter(name=name).exists():
            return False
        # The first time of all. Another holder may be as fast.
        JobLease.objects.bulk_create([JobLease(name=name, holder="", expires_at=database_now())], ignore_conflicts=True)
        return self.take(name, holder, seconds)

    def last_use(self) -> datetime | None:
        """Return when a lease last ended or will end. None: none was ever taken, as on SQLite."""
        last: datetime | None = self.aggregate(last=models.Max("expires_at"))["last"]
        return last

    def give_back(self, name: str, holder: str) -> None:
        """End the lease, if this holder has it."""
        self.filter(name=name, holder=holder).update(expires_at=DatabaseNow())


class JobLease(models.Model):
    """A lock that outlives no holder for long: it ends by itself, and needs neither a session nor a transaction."""

    name = models.CharField(max_length=50, unique=True)
    holder = models.CharField(max_length=200, help_text="Host and process.")
    expires_at = models.DateTimeField()

    objects = JobLeaseQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} until {self.expires_at:%H:%M:%S}"

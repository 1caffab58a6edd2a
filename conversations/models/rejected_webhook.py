"""Rejected webhooks, counted."""

from datetime import date
from typing import Self

from django.db import models
from django.db.models import F
from django.utils import timezone

from smsproxy.carriers.base import STRAY


class RejectedWebhookQuerySet(models.QuerySet["RejectedWebhook"]):
    def add(self, endpoint: str, reason: str, number: int) -> None:
        """Add to today's count. rejected.py bounds how often this is called."""
        day = timezone.now().date()
        today = self.filter(day=day, endpoint=endpoint, reason=reason)
        if not today.update(count=F("count") + number):
            self.bulk_create([self.model(day=day, endpoint=endpoint, reason=reason)], ignore_conflicts=True)
            today.update(count=F("count") + number)

    def total_of(self, endpoint: str) -> int:
        """Return the number of rejected webhooks of this endpoint on record, without those of scanners."""
        return int(self._of_the_carrier(endpoint).aggregate(total=models.Sum("count", default=0))["total"])

    def reasons_of(self, endpoint: str, *, since: date) -> list[str]:
        """Return the reasons since this day, the most frequent first, without that of scanners."""
        counts = (
            self._of_the_carrier(endpoint).filter(day__gte=since).values("reason").annotate(total=models.Sum("count"))
        )
        return list(counts.order_by("-total", "reason").values_list("reason", flat=True))

    def _of_the_carrier(self, endpoint: str) -> Self:
        """Return what may be the carrier's. Otherwise any scanner could wake somebody on a quiet night."""
        return self.filter(endpoint=endpoint).exclude(reason=STRAY)


class RejectedWebhook(models.Model):
    """The number of webhooks rejected on a day, by endpoint and reason. Nothing more is stored of them."""

    day = models.DateField()
    endpoint = models.CharField(max_length=40)
    reason = models.CharField(max_length=40)
    count = models.PositiveBigIntegerField(default=0)

    objects = RejectedWebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-day", "endpoint", "reason"]
        constraints = [models.UniqueConstraint(fields=["day", "endpoint", "reason"], name="one_counter_a_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.endpoint} {self.reason}: {self.count}"

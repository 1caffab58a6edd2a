"""What the messages of each past day cost. Today's cost is in AccountRateLimit, until a new day begins."""

from datetime import date
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Sum


class DailySpendQuerySet(models.QuerySet["DailySpend"]):
    def store(self, day: date, euros: Decimal) -> None:
        """Store what this day has cost, when the next one begins."""
        row = DailySpend(day=day, euros=euros)
        DailySpend.objects.bulk_create([row], update_conflicts=True, unique_fields=["day"], update_fields=["euros"])

    def correct(self, day: date, euros: Decimal) -> None:
        """Add to a day that is over: the price of its messages less their estimate."""
        self.filter(day=day).update(euros=F("euros") + euros)

    def total_since(self, day: date) -> Decimal:
        """Return EUR, of this day and the days after it that are over."""
        total: Decimal | None = self.filter(day__gte=day).aggregate(total=Sum("euros"))["total"]
        return total or Decimal(0)


class DailySpend(models.Model):
    """One past UTC day on which messages were sent."""

    day = models.DateField(unique=True, help_text="UTC.")
    euros = models.DecimalField(
        max_digits=12, decimal_places=5, help_text="EUR. The price of its messages, and the estimate until it is known."
    )

    objects = DailySpendQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "daily spend"
        ordering: ClassVar = ["-day"]

    def __str__(self) -> str:
        return f"{self.day}: EUR {self.euros:.2f}"

"""Shortages: conversations that were rejected because no number was free."""

from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from numbers.models.pool import Pool
from numbers.models.real_number import RealNumber


class ShortageQuerySet(models.QuerySet["Shortage"]):
    def before(self, at: datetime) -> Self:
        """Return the shortages before this time, the oldest first."""
        return self.filter(created_at__lt=at).order_by("created_at")


class Shortage(models.Model):
    """An event, never changed: a conversation was rejected because no number was free for one of its people."""

    pool = models.ForeignKey(Pool, models.PROTECT, null=True, blank=True, related_name="shortages")
    country = models.CharField(max_length=2, blank=True, help_text="The person's country: ISO 3166-1 alpha-2.")
    real_number = models.ForeignKey(
        RealNumber, models.PROTECT, null=True, blank=True, related_name="shortages", help_text="The person, if known."
    )
    eligible_count = models.PositiveIntegerField(
        help_text="The number of virtual numbers eligible for this person, free or not."
    )
    in_use = models.PositiveIntegerField(help_text="The number of those in use by this person, open or cooling down.")
    needed = models.PositiveIntegerField(help_text="The number of eligible virtual numbers needed.")
    next_release_at = models.DateTimeField(
        null=True, blank=True, help_text="The time at which the next one is released."
    )
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(default=timezone.now)

    objects = ShortageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index("created_at", name="shortage_recent")]

    def __str__(self) -> str:
        return _("shortage %(id)s") % {"id": self.pk}


class ShortageCountQuerySet(models.QuerySet["ShortageCount"]):
    def add_one(self, pool: Pool | None, country: str) -> None:
        """Increment the count of this pool and country. The row stays locked until the transaction ends."""
        count, _ = self.get_or_create(pool=pool, country=country)
        self.filter(pk=count.pk).update(count=models.F("count") + 1)


class ShortageCount(models.Model):
    """The count of all shortages of a pool and country, including those whose event was deleted."""

    pool = models.ForeignKey(Pool, models.CASCADE, null=True, related_name="shortage_counts")
    country = models.CharField(max_length=2, blank=True)
    count = models.PositiveBigIntegerField(default=0)

    objects = ShortageCountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pool", "country"], condition=models.Q(pool__isnull=False), name="one_shortage_count_of_a_pool"
            ),
            models.UniqueConstraint(
                fields=["country"],
                condition=models.Q(pool__isnull=True),
                name="one_shortage_count_of_the_common_pool",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.count} shortages"

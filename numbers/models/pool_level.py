"""How many numbers of a pool and country are left, as last measured."""

from typing import Self

from django.db import models
from django.db.models import F
from django.utils.translation import gettext as _

from numbers.models.pool import Pool


class PoolLevelQuerySet(models.QuerySet["PoolLevel"]):
    def low(self) -> Self:
        return self.filter(free__lt=F("least")).order_by("free", "pk")


class PoolLevel(models.Model):
    """The numbers that are free for the busiest person of a country. numbers/assignment/level.py measures them."""

    pool = models.ForeignKey(Pool, models.CASCADE, null=True, blank=True, related_name="levels")
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    free = models.IntegerField(help_text="Numbers still free for the busiest person. Negative: a shortage.")
    least = models.IntegerField(help_text="Fewer than these are low.")
    measured_at = models.DateTimeField()

    objects = PoolLevelQuerySet.as_manager()

    class Meta:
        ordering = ["pool", "country"]

    def __str__(self) -> str:
        common = _("the common pool")
        return f"{self.pool or common}, {self.country}: {self.free}"

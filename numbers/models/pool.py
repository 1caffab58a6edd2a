"""Pools: named sets of numbers that a conversation can ask for. Numbers without a pool are the common pool."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DatabaseError, models
from django.utils import timezone

from smsproxy import values

MAX_COOL_DOWN = 10 * 366 * 24 * 3600


MAX_POOLS_NAMED = 20  # in one error

_MINIMUM = "the longer of WEBHOOK_MAX_AGE_SECONDS, and MESSAGE_MAX_AGE_SECONDS and SEND_LEASE_SECONDS together"


class PoolQuerySet(models.QuerySet["Pool"]):
    def named(self, name: str) -> "Pool":
        """Return the pool of this name. Raises InvalidValue, which names the pools there are."""
        try:
            pool = self.filter(name=values.pool_name(name)).first()
        except values.InvalidValue:
            pool = None
        if pool is None:
            names = ", ".join(self.order_by("name").values_list("name", flat=True)[:MAX_POOLS_NAMED])
            known = f"one of the pools {names}" if names else "the name of a pool, but no pool exists yet"
            raise values.InvalidValue(f"{known} (omit it for the common pool)", name)
        return pool


class Pool(models.Model):
    """Numbers for one brand or city, with an optional cool-down and cap that override the settings."""

    name = models.SlugField(max_length=40, unique=True, help_text="The name in API requests, such as berlin.")
    cool_down = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_COOL_DOWN)],
        help_text="Seconds for which nobody else gets the numbers of an ended conversation. Empty: COOL_DOWN_SECONDS.",
    )
    number_cap = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The maximum number of live participants of one number. Empty: NUMBER_CAP.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = PoolQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.cool_down is not None and self.cool_down <= settings.MIN_COOL_DOWN_SECONDS:
            raise ValidationError(
                {
                    "cool_down": f"Expected more than {settings.MIN_COOL_DOWN_SECONDS} seconds, {_MINIMUM}. "
                    "A message of an ended conversation may be in flight as long."
                }
            )

    @classmethod
    def check(cls, *, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
        """Add a warning for each stored cool-down that the present settings would refuse.

        It reads the database only if the caller allows that, as `manage.py migrate` and `check --database` do.
        """
        found: list[CheckMessage] = super().check(databases=databases, **kwargs)
        short = cls.objects.filter(cool_down__lte=settings.MIN_COOL_DOWN_SECONDS) if databases else cls.objects.none()
        try:
            names = list(short.order_by("name").values_list("name", flat=True)[:MAX_POOLS_NAMED])
        except DatabaseError:
            return found  # Not migrated yet.
        return found + [
            Warning(
                f"The cool-down of the pool {name} is too short: late messages could reach other people.",
                hint=f"Set it in the admin, under Pools, to more than {settings.MIN_COOL_DOWN_SECONDS} seconds "
                f"({_MINIMUM}), or leave it empty.",
                obj=cls,
                id="numbers.W001",
            )
            for name in names
        ]


def cool_down_of(pool: Pool | None) -> timedelta:
    """Return how long the pairs of an ended conversation of this pool stay reserved for it."""
    of_pool = pool.cool_down if pool else None
    return timedelta(seconds=settings.COOL_DOWN_SECONDS if of_pool is None else of_pool)


def pool_name(pool: Pool | None) -> str:
    """Return the name of the pool, "common" for None."""
    return pool.name if pool else "common"

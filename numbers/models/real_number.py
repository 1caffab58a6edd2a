"""Real numbers: the only table that knows a person's number."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from smsproxy.crypto import EncryptedTextField, keyed_hash
from smsproxy.nanp import region_of
from smsproxy.phone import area_of, country_of, mask


class RealNumberQuerySet(models.QuerySet["RealNumber"]):
    def with_number(self, *numbers: str) -> Self:
        """Those of these E.164 numbers that we know."""
        return self.filter(number_hash__in=[keyed_hash(number) for number in numbers])

    def known(self, numbers: Iterable[str]) -> dict[str, "RealNumber"]:
        """The rows of those of these E.164 numbers that we know, by number."""
        return {row.number: row for row in self.with_number(*numbers)}

    def add(self, numbers: Iterable[str], *, ignore_conflicts: bool = False) -> dict[str, "RealNumber"]:
        """New rows of these E.164 numbers. Raises IntegrityError: somebody else was faster with one of them.

        They are inserted in the order of their hashes, so that two transactions which remember the same people wait for
        each other instead of dead-locking.
        """
        rows = sorted((RealNumber.of(number) for number in numbers), key=lambda row: row.number_hash)
        return {row.number: row for row in RealNumber.objects.bulk_create(rows, ignore_conflicts=ignore_conflicts)}

    def remember(self, numbers: Iterable[str]) -> dict[str, "RealNumber"]:
        """The rows of these E.164 numbers, made where there are none."""
        numbers = set(numbers)
        known = self.known(numbers)
        if missing := numbers - known.keys():
            self.add(missing, ignore_conflicts=True)
            known = self.known(numbers)
        return known


class RealNumber(models.Model):
    """A person's own phone number, encrypted, found by its keyed hash."""

    number_hash = models.CharField(max_length=64, unique=True)
    number = EncryptedTextField(help_text="E.164.")
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2; empty where there is none.")
    line_type = models.CharField(max_length=40, blank=True, help_text="As the lookup told it, such as «mobile».")
    looked_up_with = models.CharField(max_length=20, blank=True, help_text="The value of LOOKUP at the last lookup.")
    looked_up_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = RealNumberQuerySet.as_manager()

    class Meta:
        permissions = [("reveal_realnumber", "Can see real numbers in full")]

    def __str__(self) -> str:
        return mask(self.number)

    @classmethod
    def of(cls, number: str) -> "RealNumber":
        """A row for this E.164 number, not saved."""
        return cls(number=number, number_hash=keyed_hash(number), country=country_of(number))

    @property
    def area(self) -> str:
        return area_of(self.number)

    @property
    def region(self) -> str:
        """Their state or province, in North America."""
        return region_of(self.area)

    @property
    def is_looked_up(self) -> bool:
        """Has the lookup of today's settings answered for this number, recently enough?"""
        return (
            self.looked_up_with == settings.LOOKUP
            and self.looked_up_at is not None
            and self.looked_up_at > timezone.now() - timedelta(seconds=settings.LOOKUP_MAX_AGE)
        )

"""Real numbers: the only table that contains a person's phone number."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from numbers.models.found_by_number import FoundByNumber
from smsproxy.crypto import EncryptedTextField, number_hash
from smsproxy.nanp import region_of
from smsproxy.phone import area_of, canonical, country_of, mask


class RealNumberQuerySet(FoundByNumber["RealNumber"]):
    def add(self, numbers: Iterable[str], *, ignore_conflicts: bool = False) -> dict[str, "RealNumber"]:
        """Insert a row for each of these E.164 numbers, which are different phones, and return the rows by number.

        Raises IntegrityError if a concurrent transaction inserted one of them first. Rows are inserted in the order of
        their hashes, so two transactions with the same people wait for each other and do not deadlock.
        """
        rows = sorted((RealNumber.from_number(number) for number in numbers), key=lambda row: row.number_hash)
        return {row.number: row for row in RealNumber.objects.bulk_create(rows, ignore_conflicts=ignore_conflicts)}

    def get_or_create_many(self, numbers: Iterable[str]) -> dict[str, "RealNumber"]:
        """Return the rows of these E.164 numbers by number, and insert the missing ones."""
        numbers = list(numbers)
        known = self.by_number(numbers)
        if missing := [number for number in numbers if number not in known]:
            self.add({canonical(number): number for number in missing}.values(), ignore_conflicts=True)
            known = self.by_number(numbers)
        return known


class RealNumber(models.Model):
    """A person's own phone number, stored encrypted and found by its keyed hash.

    All spellings of a phone have one row. Its number is the first spelling that it was registered with: texts go there.
    """

    number_hash = models.CharField(max_length=64, unique=True)
    number = EncryptedTextField(help_text="E.164.")
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2, or empty.")
    line_type = models.CharField(max_length=40, blank=True, help_text="The lookup's answer, such as “mobile”.")
    looked_up_with = models.CharField(max_length=20, blank=True, help_text="The value of LOOKUP at the last lookup.")
    looked_up_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = RealNumberQuerySet.as_manager()

    class Meta:
        permissions = [("reveal_realnumber", "Can see real numbers in full")]

    def __str__(self) -> str:
        return mask(self.number)

    @classmethod
    def from_number(cls, number: str) -> "RealNumber":
        """Return an unsaved row for this E.164 number."""
        return cls(number=number, number_hash=number_hash(number), country=country_of(number))

    @property
    def area(self) -> str:
        """Calling code and area code; "" for a number without an area."""
        return area_of(self.number)

    @property
    def region(self) -> str:
        """The state or province in North America; "" elsewhere."""
        return region_of(self.area)

    @property
    def is_looked_up(self) -> bool:
        """Whether the configured lookup answered for this number within LOOKUP_MAX_AGE_SECONDS."""
        return (
            self.looked_up_with == settings.LOOKUP
            and self.looked_up_at is not None
            and self.looked_up_at > timezone.now() - timedelta(seconds=settings.LOOKUP_MAX_AGE_SECONDS)
        )

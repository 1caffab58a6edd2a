"""Real numbers: the only table that contains a person's phone number."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from smsproxy.crypto import EncryptedTextField, keyed_hash
from smsproxy.nanp import region_of
from smsproxy.phone import area_of, country_of, mask
from smsproxy.states import Event


class RealNumberQuerySet(models.QuerySet["RealNumber"]):
    def with_number(self, *numbers: str) -> Self:
        """Return the rows of these E.164 numbers, as far as stored."""
        return self.filter(number_hash__in=[keyed_hash(number) for number in numbers])

    def by_number(self, numbers: Iterable[str]) -> dict[str, "RealNumber"]:
        """Return the rows of these E.164 numbers, as far as stored, by number."""
        return {row.number: row for row in self.with_number(*numbers)}

    def add(self, numbers: Iterable[str], *, ignore_conflicts: bool = False) -> dict[str, "RealNumber"]:
        """Insert rows for these E.164 numbers and return them by number.

        Raises IntegrityError if a concurrent transaction inserted one of them first. Rows are inserted in the order of
        their hashes, so two transactions with the same people wait for each other and do not deadlock.
        """
        rows = sorted((RealNumber.from_number(number) for number in numbers), key=lambda row: row.number_hash)
        return {row.number: row for row in RealNumber.objects.bulk_create(rows, ignore_conflicts=ignore_conflicts)}

    def get_or_create_many(self, numbers: Iterable[str]) -> dict[str, "RealNumber"]:
        """Return the rows of these E.164 numbers by number, and insert the missing ones."""
        numbers = set(numbers)
        known = self.by_number(numbers)
        if missing := numbers - known.keys():
            self.add(missing, ignore_conflicts=True)
            known = self.by_number(numbers)
        return known

    def lock(self, pks: Iterable[int]) -> None:
        """Lock the rows of these people until the transaction ends, in one order everywhere, before other rows."""
        rows = self.select_for_update(no_key=True).filter(pk__in=list(pks))
        list(rows.order_by("pk").values_list("pk"))


class RealNumber(models.Model):
    """A person's own phone number, stored encrypted and found by its keyed hash."""

    number_hash = models.CharField(max_length=64, unique=True)
    number = EncryptedTextField(help_text="E.164.")
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2, or empty.")
    line_type = models.CharField(max_length=40, blank=True, help_text="The lookup's answer, such as “mobile”.")
    looked_up_with = models.CharField(max_length=20, blank=True, help_text="The value of LOOKUP at the last lookup.")
    looked_up_at = models.DateTimeField(null=True, blank=True)
    opted_out_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then, this person gets no messages from any of our numbers."
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = RealNumberQuerySet.as_manager()

    class Meta:
        permissions = [("reveal_realnumber", "Can see real numbers in full")]

    def __str__(self) -> str:
        return mask(self.number)

    @classmethod
    def from_number(cls, number: str) -> "RealNumber":
        """Return an unsaved row for this E.164 number."""
        return cls(number=number, number_hash=keyed_hash(number), country=country_of(number))

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


class PersonEvent(Event):
    """An opt-out or its end. old_state and new_state are "receives" or "opted_out"."""

    person = models.ForeignKey(RealNumber, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

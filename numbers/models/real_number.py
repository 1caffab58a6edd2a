"""Real numbers: the only table that contains a person's phone number."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models, transaction
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from numbers.models.found_by_number import FoundByNumber
from smsproxy.crypto import EncryptedTextField, Unreadable, number_hash
from smsproxy.database.clock import database_now
from smsproxy.metrics.counting import count_on_commit
from smsproxy.metrics.families import OPT_OUT_CHANGES
from smsproxy.nanp import region_of
from smsproxy.phone import area_of, canonical, country_of, mask
from smsproxy.states import Event, StaleState
from smsproxy.unreadable import EncryptedRow

# Sent with `person` and `to`, a PersonState, in the transaction of the change. A signal, because this module cannot
# import the conversations of the person.
opt_out_changed = Signal()


class RealNumberQuerySet(FoundByNumber["RealNumber"]):
    def by_number(self, numbers: Iterable[str]) -> dict[str, "RealNumber"]:
        """Return the rows of these E.164 numbers, as far as stored, by number. An unreadable one is restored."""
        rows = super().by_number(numbers)
        for number, row in rows.items():
            row.restore(number)
        return rows

    def opted_out(self) -> Self:
        """Return the people who get no messages from us."""
        return self.filter(opted_out_at__isnull=False)

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

    def lock(self, people: Iterable["RealNumber"]) -> None:
        """Lock the rows of these people until the transaction ends, in one order everywhere, before other rows.

        Whether they have opted out is read again.
        """
        by_id = {each.pk: each for each in people}
        rows = self.select_for_update(no_key=True).filter(pk__in=by_id).order_by("pk")
        for pk, opted_out_at in rows.values_list("pk", "opted_out_at") if by_id else ():
            by_id[pk].opted_out_at = opted_out_at


class RealNumber(EncryptedRow):
    """A person's own phone number, stored encrypted and found by its keyed hash.

    All spellings of a phone have one row. Its number is the first spelling that it was registered with: texts go there.
    """

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
        permissions = [
            ("reveal_realnumber", "Can see real numbers in full"),
            ("end_opt_out", "Can end a person's opt-out"),
        ]
        indexes = [
            # For the list and the count of people who opted out.
            models.Index("opted_out_at", condition=models.Q(opted_out_at__isnull=False), name="person_opted_out")
        ]

    def __str__(self) -> str:
        return self.number if isinstance(self.number, Unreadable) else mask(self.number)

    def restore(self, number: str) -> None:
        """Encrypt the number again if it cannot be decrypted. number: the person's, as their hash shows."""
        if isinstance(self.number, Unreadable):
            self.number = number
            self.save(update_fields=["number"])

    @classmethod
    def from_number(cls, number: str) -> "RealNumber":
        """Return an unsaved row for this E.164 number."""
        return cls(number=number, number_hash=number_hash(number), country=country_of(number))

    def opt_out(self, *, reason: str, since: datetime | None = None) -> Self:
        """Send this person no more messages. since: the time of their wish; None: now.

        Raises StaleState if they have opted out already. conversations/delivery/opt_out.py also cancels what is queued.
        """
        now = database_now()
        return self._change_opt_out(PersonState.OPTED_OUT, reason, now, opted_out_at=min(since or now, now))

    def opt_in(self, *, reason: str, actor: str = "") -> Self:
        """Send this person messages again. Raises StaleState if they have not opted out."""
        return self._change_opt_out(PersonState.RECEIVES, reason, database_now(), actor=actor, opted_out_at=None)

    def _change_opt_out(
        self, to: "PersonState", reason: str, now: datetime, *, actor: str = "", opted_out_at: datetime | None
    ) -> Self:
        [before] = [state for state in PersonState if state != to]
        with transaction.atomic():
            people = RealNumber.objects.filter(pk=self.pk, opted_out_at__isnull=to == PersonState.OPTED_OUT)
            if not people.update(opted_out_at=opted_out_at):
                raise StaleState(f"real number {self.pk} is {to} already")
            self.events.create(old_state=before, new_state=to, reason=reason[:200], actor=actor, created_at=now)
            count_on_commit(OPT_OUT_CHANGES, to=to.value)
            opt_out_changed.send(type(self), person=self, to=to)
        self.opted_out_at = opted_out_at
        return self

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


class PersonState(models.TextChoices):
    """The states in a person's events."""

    RECEIVES = "receives", _("receives messages")
    OPTED_OUT = "opted_out", _("opted out")


class PersonEvent(Event):
    """An opt-out or its end. The states are those of PersonState."""

    person = models.ForeignKey(RealNumber, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

"""Virtual numbers: numbers rented from the carrier, and their states."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar, Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Greatest, Now
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from numbers.models.found_by_number import FoundByNumber
from numbers.models.number_order import NumberOrder
from numbers.models.pool import Pool
from smsproxy.carriers.base import Feature, NumberType
from smsproxy.crypto import NumberHashField
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.nanp import region_of
from smsproxy.phone import area_of
from smsproxy.states import Event, StaleState, StateMachine

# By the recipient's country: the only sender countries that its networks accept.
REQUIRED_SENDER_COUNTRIES = {"US": ("US", "CA"), "CA": ("CA", "US")}

# Sent when staff restore a number, with `number`. A signal, because this module cannot import what sends from it.
number_restored = Signal()


class NumberState(models.TextChoices):
    ORDERED = "ordered", _("ordered")
    """The intent to buy it, stored before the purchase. The outcome of the purchase is not known yet."""
    CONFIGURING = "configuring", _("bought, not configured")
    """Rented, but its inbound messages do not reach us yet. `manage.py configure_numbers` fixes that."""
    ACTIVE = "active", _("active")
    """Rented, its inbound messages reach us, and new conversations may get it."""
    DRAINING = "draining", _("draining")
    """Serves its conversations but gets no new ones. It is retired when its last pair is released."""
    QUARANTINED = "quarantined", _("quarantined")
    """At fault, for example rejected by the carrier. It gets no new conversations until staff restore it."""
    RETIRED = "retired", _("retired")
    """Out of service permanently. If rented, it costs money until `manage.py release_numbers` cancels it."""


# In these states a new row is not rented, unless the caller says so.
_NOT_OURS_BY_ITSELF = (NumberState.ORDERED, NumberState.RETIRED)
# Numbers that new conversations may get, and those among them that need not be named in the request.
SERVING = models.Q(state=NumberState.ACTIVE, can_sms=True)
ASSIGNABLE = SERVING & models.Q(is_reserved=False)
# The order in which numbers are assigned: fewest live pairs first, then least recently assigned.
# An index of SQLite cannot have NULLS FIRST, so an expression replaces it.
LEAST_BUSY = (
    "live_pair_count",
    models.ExpressionWrapper(models.Q(last_assigned_at__isnull=False), output_field=models.BooleanField()),
    "last_assigned_at",
)


class VirtualNumberQuerySet(FoundByNumber["VirtualNumber"]):
    def active(self) -> Self:
        """Return the active numbers."""
        return self.filter(state=NumberState.ACTIVE)

    def rented_or_ordered(self) -> Self:
        """Return the numbers that are rented or ordered. Any other number may belong to another customer today."""
        return self.filter(models.Q(is_rented=True) | models.Q(state=NumberState.ORDERED))

    def countries(self) -> list[str]:
        """Return the countries of these numbers, in alphabetical order."""
        return list(self.order_by("country").values_list("country", flat=True).distinct())

    def being_bought(self) -> Self:
        """Return the numbers with a purchase in progress or of unknown outcome."""
        return self.filter(state=NumberState.ORDERED)

    def rented(self) -> Self:
        """Return the rented numbers."""
        return self.filter(is_rented=True)

    def serving(self) -> Self:
        """Return the numbers that new conversations may get, reserved ones included."""
        return self.filter(SERVING)

    def assignable(self) -> Self:
        """Return the numbers that new conversations may get without naming them."""
        return self.filter(ASSIGNABLE)

    def least_busy_first(self) -> Self:
        """Order by fewest live pairs, then by least recent assignment."""
        # Sorting by pool changes nothing within one pool. But PostgreSQL does not treat `pool_id IS NULL` as one value:
        # without this column it would sort the whole common pool instead of reading the first rows of an index.
        return self.order_by("pool_id", *LEAST_BUSY)

    def add_live_pairs(self, pairs: Mapping[int, int], *, cap: int | None = None) -> bool:
        """Add live pairs to these numbers: a count by id. Return False if one is out of service or at its cap.

        The caller must then roll back. Call it last: the rows stay locked until the transaction ends. This lock also
        keeps a number from being retired or cancelled while it is being assigned.
        """
        given = 0
        for count, ids in self._by_count(pairs):
            room = models.Q(live_pair_count__lte=cap - count) if cap is not None and count > 0 else models.Q()
            numbers = VirtualNumber.objects.serving().filter(room, pk__in=self._locked(ids).values("pk"))
            given += numbers.update(live_pair_count=models.F("live_pair_count") + count, last_assigned_at=Now())
        return given == len(pairs)

    def remove_live_pairs(self, pairs: Mapping[int, int]) -> None:
        """Subtract live pairs from these numbers: a count by id.

        A count never goes below 0. A wrong count, for example from an older release, must not block the release of
        all other pairs.
        """
        for count, ids in self._by_count(pairs):
            numbers = VirtualNumber.objects.filter(pk__in=self._locked(ids).values("pk"))
            numbers.update(live_pair_count=Greatest(models.F("live_pair_count") - count, 0))

    def _by_count(self, pairs: Mapping[int, int]) -> Iterable[tuple[int, list[int]]]:
        alike = defaultdict(list)
        for pk, count in pairs.items():
            alike[count].append(pk)
        if len(alike) > 1:
            list(
                self._locked(pairs).values_list("pk")
            )  # Lock all of them first: two transactions could deadlock otherwise.
        return alike.items()

    def _locked(self, ids: Iterable[int]) -> Self:
        """Return these rows locked, in one order everywhere, so that two transactions do not deadlock."""
        return self.filter(pk__in=list(ids)).select_for_update(no_key=True).order_by("pk")


class VirtualNumber(StateMachine):
    """A number rented from the carrier."""

    ALLOWED: ClassVar = {
        NumberState.ORDERED: frozenset({NumberState.CONFIGURING, NumberState.RETIRED}),
        NumberState.CONFIGURING: frozenset(
            {NumberState.ACTIVE, NumberState.DRAINING, NumberState.QUARANTINED, NumberState.RETIRED}
        ),
        NumberState.ACTIVE: frozenset(
            {NumberState.CONFIGURING, NumberState.DRAINING, NumberState.QUARANTINED, NumberState.RETIRED}
        ),
        NumberState.DRAINING: frozenset(
            {NumberState.CONFIGURING, NumberState.ACTIVE, NumberState.QUARANTINED, NumberState.RETIRED}
        ),
        NumberState.QUARANTINED: frozenset(
            {NumberState.CONFIGURING, NumberState.ACTIVE, NumberState.DRAINING, NumberState.RETIRED}
        ),
        # A cancelled number may be rented again.
        NumberState.RETIRED: frozenset({NumberState.ORDERED, NumberState.CONFIGURING}),
    }

    number = models.CharField(max_length=16, unique=True, help_text="E.164.")
    # The number is no secret, but a look-up compares it with numbers that are: a person's may not be in a statement.
    number_hash = NumberHashField()
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    area = models.CharField(max_length=8, blank=True, editable=False, help_text="Calling code and area code.")
    region = models.CharField(
        max_length=40, blank=True, editable=False, help_text="The state or province, in North America."
    )
    # No index for this column alone: the assignment indexes begin with it.
    pool = models.ForeignKey(
        Pool,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="numbers",
        help_text="Empty: the common pool, for conversations that name no pool.",
    )
    is_reserved = models.BooleanField(
        "reserved", default=False, db_default=False, help_text="Only for conversations that request this number."
    )
    type = models.CharField(max_length=20, blank=True, choices=[(kind.value, kind.value) for kind in NumberType])
    can_sms = models.BooleanField("can text", default=True, help_text="Can send and receive SMS.")
    monthly_cost = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="EUR a month. Empty if the carrier does not say.",
    )
    rate = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text="Segments per second. Empty: NUMBER_SEGMENTS_PER_SECOND for its country.",
    )
    state = models.CharField(max_length=20, choices=NumberState.choices, default=NumberState.ORDERED)
    is_rented = models.BooleanField(
        "rented", default=False, db_default=False, help_text="Rented from the carrier, and paid for."
    )
    live_pair_count = models.PositiveIntegerField(
        "live pairs",
        default=0,
        db_default=0,
        help_text="Participants with this number, open or cooling down.",
    )
    webhook_url = models.CharField(
        max_length=300, blank=True, help_text="The inbound webhook configured at the carrier, as last known."
    )
    order = models.ForeignKey(NumberOrder, models.PROTECT, null=True, blank=True, related_name="numbers")
    last_assigned_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = VirtualNumberQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        permissions = [
            ("replace_virtualnumber", "Can replace a virtual number in its conversations"),
            ("release_virtualnumber", "Can give a virtual number back to the carrier"),
        ]
        constraints = [
            # Not `unique=True`, which adds a second index for LIKE on PostgreSQL.
            models.UniqueConstraint(fields=["number_hash"], name="unique_virtual_number_hash"),
            models.CheckConstraint(
                condition=models.Q(number__regex=r"^\+[1-9][0-9]{6,14}$"), name="virtual_number_is_e164"
            ),
            # A quarantined or retired number may be rented or not; in every other state but ordered it is.
            models.CheckConstraint(
                condition=models.Q(is_rented=True)
                | models.Q(state__in=[NumberState.ORDERED, NumberState.QUARANTINED, NumberState.RETIRED]),
                name="virtual_number_in_use_is_rented",
            ),
            models.CheckConstraint(
                condition=models.Q(is_rented=False) | ~models.Q(state=NumberState.ORDERED),
                name="virtual_number_ordered_is_not_rented",
            ),
        ]
        # Assignment reads the first rows of one of these: by area, by state or province, by country, or by pool.
        indexes = [
            models.Index("pool", "area", *LEAST_BUSY, condition=ASSIGNABLE, name="virtual_number_of_area"),
            models.Index("pool", "region", *LEAST_BUSY, condition=ASSIGNABLE, name="virtual_number_of_region"),
            models.Index("pool", "country", *LEAST_BUSY, condition=ASSIGNABLE, name="virtual_number_of_country"),
            models.Index("pool", *LEAST_BUSY, condition=ASSIGNABLE, name="virtual_number_of_pool"),
        ]

    def __str__(self) -> str:
        return self.number

    @classmethod
    def of(
        cls, number: str, country: str, type_: NumberType | None, features: frozenset[Feature], **fields: object
    ) -> Self:
        """Return an unsaved row for a number as the carrier describes it."""
        area = area_of(number)
        fields.setdefault("is_rented", fields.get("state", NumberState.ORDERED) not in _NOT_OURS_BY_ITSELF)
        return cls(
            number=number,
            country=country,
            area=area,
            region=region_of(area),
            type=type_ or "",
            can_sms=Feature.SMS in features,
            **fields,
        )

    def record_event(self, new_state: str, *, reason: str, actor: str = "", old_state: str = "") -> None:
        """Append an event. A change of the state is told in the feed, too."""
        with transaction.atomic():
            super().record_event(new_state, reason=reason, actor=actor, old_state=old_state)
            if new_state != old_state:
                data = {"number": self.number, "reason": reason[:200]}
                record(NewEvent(type=EventType(f"number.{new_state}"), service_id=None, data=data))

    @property
    def default_rate(self) -> float:
        """Segments per second from NUMBER_SEGMENTS_PER_SECOND, which apply if the number has no rate of its own."""
        return float(settings.NUMBER_SEGMENTS_PER_SECOND.get(self.country, settings.NUMBER_SEGMENTS_PER_SECOND["*"]))

    @property
    def current_rate(self) -> float:
        """Segments per second that the number may send."""
        return self.rate or self.default_rate

    def quarantine(self, *, reason: str, actor: str = "") -> Self:
        """Give it to no new conversation until it is restored. Raises StaleState."""
        return self.transition(NumberState.QUARANTINED, reason=reason, actor=actor)

    def drain(self, *, reason: str, actor: str = "") -> Self:
        """Give it to no new conversation. It is retired once it has no live pairs. Raises StaleState."""
        return self.transition(NumberState.DRAINING, reason=reason, actor=actor)

    def mark_lost(self, *, reason: str, actor: str = "") -> Self:
        """Record that the number is no longer rented. Quarantine it if it has live pairs, or retire it.

        Raises StaleState: the number was changed concurrently.
        """
        with transaction.atomic():
            # Assigning the number updates this row too, so it waits for this lock.
            self.live_pair_count = VirtualNumber.objects.select_for_update(no_key=True).get(pk=self.pk).live_pair_count
            if self.state in (NumberState.QUARANTINED, NumberState.RETIRED):
                rows = VirtualNumber.objects.filter(pk=self.pk, state=self.state, is_rented=True)
                if rows.update(is_rented=False) != 1:
                    raise StaleState(f"virtual number {self.pk} has moved on")
                self.record_event(self.state, reason=reason, actor=actor, old_state=self.state)
                self.is_rented = False
                return self
            to = NumberState.QUARANTINED if self.live_pair_count else NumberState.RETIRED
            return self.transition(to, reason=reason, actor=actor, is_rented=False)

    def retire(self, *, reason: str, actor: str = "") -> Self:
        """Take it out of service permanently. Raises StaleState if it has live pairs."""
        with transaction.atomic():
            # Assigning the number updates this row too, so it waits for this lock.
            if VirtualNumber.objects.select_for_update(no_key=True).get(pk=self.pk).live_pair_count:
                raise StaleState(f"virtual number {self.pk} has live pairs")
            return self.transition(NumberState.RETIRED, reason=reason, actor=actor)

    def restore(self, *, reason: str, actor: str = "") -> Self:
        """Return it from draining to service, or from quarantine to its state before that.

        In service means active, or configuring if that was not finished.

        Raises StaleState: it is in another state, or not rented.
        """
        if self.state not in (NumberState.DRAINING, NumberState.QUARANTINED):
            raise StaleState(f"virtual number {self.pk} is {self.state}: there is nothing to restore it from")
        if not self.is_rented:
            raise StaleState(f"virtual number {self.pk} is not rented any more")
        with transaction.atomic():
            self.transition(self._state_before(), reason=reason, actor=actor)
            number_restored.send(type(self), number=self)
        return self

    def _state_before(self) -> str:
        quarantined = self.events.entering(NumberState.QUARANTINED).first()
        if self.state == NumberState.QUARANTINED and quarantined and quarantined.old_state in self.ALLOWED[self.state]:
            return str(quarantined.old_state)
        return self.events.last_state_in([NumberState.CONFIGURING, NumberState.ACTIVE]) or NumberState.ACTIVE


class NumberEventQuerySet(models.QuerySet["NumberEvent"]):
    def entering(self, state: NumberState) -> Self:
        """Return the events that changed a number to this state from another, the newest first."""
        return self.filter(new_state=state).exclude(old_state=state).order_by("-pk")

    def last_state_in(self, states: Collection[str]) -> str | None:
        """Return the last of these states that a number was in, or None if no event tells."""
        found = self.filter(models.Q(old_state__in=states) | models.Q(new_state__in=states)).order_by("-pk").first()
        if found is None:
            return None
        return found.new_state if found.new_state in states else found.old_state


class NumberEvent(Event):
    number = models.ForeignKey(VirtualNumber, models.CASCADE, related_name="events")

    objects = NumberEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

"""Virtual numbers: what we rent, and its life."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Greatest, Now
from django.dispatch import Signal
from django.utils import timezone

from numbers.models.number_order import NumberOrder
from numbers.models.pool import Pool
from smsproxy.carriers.base import Feature, NumberType
from smsproxy.nanp import region_of
from smsproxy.phone import area_of
from smsproxy.states import Event, StaleState, Stateful

# Where a text to this country must come from a number of these countries: its carriers refuse all others.
REQUIRED_SENDER_COUNTRIES = {"US": ("US", "CA"), "CA": ("CA", "US")}

# Staff have put a number back into service, `number`. For those who send from it: they are not imported here.
number_restored = Signal()


class NumberState(models.TextChoices):
    ORDERED = "ordered", "ordered"
    """We meant to buy it and do not know yet whether we did: the intent, stored before the purchase."""
    CONFIGURING = "configuring", "bought, not configured"
    """Ours, but its texts do not reach us yet. `manage.py configure_numbers` mends it."""
    ACTIVE = "active", "active"
    """Ours, its texts reach us, free for new conversations."""
    DRAINING = "draining", "draining"
    """Serves its conversations and takes no new ones. With the last of its pairs released, it retires itself."""
    QUARANTINED = "quarantined", "quarantined"
    """Something is wrong with it: the carrier refuses it, say. Takes no new conversations until staff put it back."""
    RETIRED = "retired", "retired"
    """Out of service for good. It is paid for until `manage.py release_numbers` cancels it, if it ever was ours."""


# A number in another state is ours.
_NOT_OURS_BY_ITSELF = (NumberState.ORDERED, NumberState.RETIRED)
# Those that new conversations may have, and those of them that they get without naming them.
SERVING = models.Q(state=NumberState.ACTIVE, can_sms=True)
ASSIGNABLE = SERVING & models.Q(is_reserved=False)
# In this order numbers are given out: the one with the fewest live pairs, and of several the one given out longest ago.
# Not NULLS FIRST, which an index of SQLite cannot have.
LEAST_BUSY = (
    "live",
    models.ExpressionWrapper(models.Q(last_assigned_at__isnull=False), output_field=models.BooleanField()),
    "last_assigned_at",
)


class VirtualNumberQuerySet(models.QuerySet["VirtualNumber"]):
    def active(self) -> Self:
        return self.filter(state=NumberState.ACTIVE)

    def in_pool(self) -> Self:
        """Those that we rent or are about to. Another number may be somebody else's by now."""
        return self.filter(models.Q(is_rented=True) | models.Q(state=NumberState.ORDERED))

    def being_bought(self) -> Self:
        """Those that are perhaps ours: the carrier was asked for them, or is about to be."""
        return self.filter(state=NumberState.ORDERED)

    def ours(self) -> Self:
        """Those that we rent."""
        return self.filter(is_rented=True)

    def serving(self) -> Self:
        """Those that new conversations may have, the reserved ones, too."""
        return self.filter(SERVING)

    def assignable(self) -> Self:
        """Those that new conversations may have without naming them."""
        return self.filter(ASSIGNABLE)

    def least_busy_first(self) -> Self:
        # Of one pool all the same. But PostgreSQL does not take `pool_id IS NULL` for one value: without it, it would
        # sort the whole common pool instead of reading the first rows of an index.
        return self.order_by("pool_id", *LEAST_BUSY)

    def give(self, pairs: Mapping[int, int], *, cap: int | None = None) -> bool:
        """Note that these numbers, by id, have so many live pairs more. False: one is not in service any more, or full.

        Then the caller must roll back. Their rows stay locked until the transaction ends, so this is its last step. It
        is also what keeps a number from being retired or cancelled while somebody is given it.
        """
        given = 0
        for count, ids in self._by_count(pairs):
            room = models.Q(live__lte=cap - count) if cap is not None and count > 0 else models.Q()
            numbers = VirtualNumber.objects.serving().filter(room, pk__in=self._locked(ids).values("pk"))
            given += numbers.update(live=models.F("live") + count, last_assigned_at=Now())
        return given == len(pairs)

    def take_back(self, pairs: Mapping[int, int]) -> None:
        """Note that these numbers, by id, have so many live pairs fewer.

        Never fewer than none: one count that is wrong, after pairs were made by an older version of us say, must not
        keep all others from being released.
        """
        for count, ids in self._by_count(pairs):
            numbers = VirtualNumber.objects.filter(pk__in=self._locked(ids).values("pk"))
            numbers.update(live=Greatest(models.F("live") - count, 0))

    def _by_count(self, pairs: Mapping[int, int]) -> Iterable[tuple[int, list[int]]]:
        alike = defaultdict(list)
        for pk, count in pairs.items():
            alike[count].append(pk)
        if len(alike) > 1:
            list(self._locked(pairs).values_list("pk"))  # All of them first, or two of us could dead-lock.
        return alike.items()

    def _locked(self, ids: Iterable[int]) -> Self:
        """In one order everywhere, so that two transactions wait for each other instead of dead-locking."""
        return self.filter(pk__in=list(ids)).select_for_update(no_key=True).order_by("pk")


class VirtualNumber(Stateful):
    """A number rented from the carrier."""

    ALLOWED: ClassVar = {
        NumberState.ORDERED: frozenset({NumberState.CONFIGURING, NumberState.RETIRED}),
        NumberState.CONFIGURING: frozenset(
            {NumberState.ACTIVE, NumberState.DRAINING, NumberState.QUARANTINED, NumberState.RETIRED}
        ),
        NumberState.ACTIVE: frozenset(
            {NumberState.CONFIGURING, NumberState.DRAINING, NumberState.QUARANTINED, NumberState.RETIRED}
        ),
        NumberState.DRAINING: frozenset({NumberState.ACTIVE, NumberState.QUARANTINED, NumberState.RETIRED}),
        NumberState.QUARANTINED: frozenset(
            {NumberState.CONFIGURING, NumberState.ACTIVE, NumberState.DRAINING, NumberState.RETIRED}
        ),
        # A number that was given up may be rented again.
        NumberState.RETIRED: frozenset({NumberState.ORDERED, NumberState.CONFIGURING}),
    }

    number = models.CharField(max_length=16, unique=True, help_text="E.164.")
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    area = models.CharField(max_length=8, blank=True, editable=False, help_text="Calling code and area code.")
    region = models.CharField(
        max_length=40, blank=True, editable=False, help_text="The state or province, in North America."
    )
    # Without an index of its own: those of assignment begin with it.
    pool = models.ForeignKey(
        Pool,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="numbers",
        help_text="Empty: the common pool, of conversations that name none.",
    )
    is_reserved = models.BooleanField(
        "reserved", default=False, db_default=False, help_text="Only for conversations that name it."
    )
    type = models.CharField(max_length=20, blank=True, choices=[(kind.value, kind.value) for kind in NumberType])
    can_sms = models.BooleanField("can text", default=True, help_text="Can send and receive SMS.")
    monthly_cost = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="EUR a month; empty where the carrier is silent.",
    )
    rate = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text="The segments that it may send a second; empty: as NUMBER_RATES says for its country.",
    )
    state = models.CharField(max_length=20, choices=NumberState.choices, default=NumberState.ORDERED)
    is_rented = models.BooleanField(
        "rented", default=False, db_default=False, help_text="Ours at the carrier, and paid for."
    )
    live = models.PositiveIntegerField(
        "live pairs",
        default=0,
        db_default=0,
        help_text="People who could text it now, or until their cool-down is over.",
    )
    webhook_url = models.CharField(max_length=300, blank=True, help_text="Where its texts go, as far as we know.")
    order = models.ForeignKey(NumberOrder, models.PROTECT, null=True, blank=True, related_name="numbers")
    last_assigned_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = VirtualNumberQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number__regex=r"^\+[1-9][0-9]{6,14}$"), name="virtual_number_is_e164"
            ),
            # Whether a retired number, or one that the carrier has taken away, is rented is for the row to say.
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
        # Assignment reads the first rows of one of these: of the person's area, of their state or province, of their
        # country, or of the whole pool.
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
        """A row for a number as the carrier describes it, not saved."""
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

    @property
    def default_rate(self) -> float:
        """The segments that it may send a second if it has no rate of its own."""
        return float(settings.NUMBER_RATES.get(self.country, settings.NUMBER_RATES["*"]))

    @property
    def current_rate(self) -> float:
        """The segments that it may send a second."""
        return self.rate or self.default_rate

    def quarantine(self, *, reason: str, actor: str = "") -> Self:
        return self.move(NumberState.QUARANTINED, reason=reason, actor=actor)

    def drain(self, *, reason: str, actor: str = "") -> Self:
        """Give it to no new conversation, and retire it once it serves none any more."""
        return self.move(NumberState.DRAINING, reason=reason, actor=actor)

    def lose(self, *, reason: str, actor: str = "") -> Self:
        """It is not ours any more, by no doing of ours: out of service for good, once nobody has it."""
        with transaction.atomic():
            # Whoever is given it changes this row.
            self.live = VirtualNumber.objects.select_for_update(no_key=True).get(pk=self.pk).live
            if self.state in (NumberState.QUARANTINED, NumberState.RETIRED):
                rows = VirtualNumber.objects.filter(pk=self.pk, state=self.state, is_rented=True)
                if rows.update(is_rented=False) != 1:
                    raise StaleState(f"virtual number {self.pk} has moved on")
                self.record(self.state, reason=reason, actor=actor, old_state=self.state)
                self.is_rented = False
                return self
            to = NumberState.QUARANTINED if self.live else NumberState.RETIRED
            return self.move(to, reason=reason, actor=actor, is_rented=False)

    def retire(self, *, reason: str, actor: str = "") -> Self:
        """Take it out of service for good. Raises StaleState: it serves somebody."""
        with transaction.atomic():
            # Whoever is given it changes this row.
            if VirtualNumber.objects.select_for_update(no_key=True).get(pk=self.pk).live:
                raise StaleState(f"virtual number {self.pk} has live pairs")
            return self.move(NumberState.RETIRED, reason=reason, actor=actor)

    def restore(self, *, reason: str, actor: str = "") -> Self:
        """Back from draining; or from quarantine, to what it was before."""
        if self.state not in (NumberState.DRAINING, NumberState.QUARANTINED):
            raise StaleState(f"virtual number {self.pk} is {self.state}: there is nothing to restore it from")
        if not self.is_rented:
            raise StaleState(f"virtual number {self.pk} is not rented any more")
        with transaction.atomic():
            self.move(self._state_before(), reason=reason, actor=actor)
            number_restored.send(type(self), number=self)
        return self

    def _state_before(self) -> str:
        quarantined = self.events.into(NumberState.QUARANTINED).first()
        if self.state == NumberState.QUARANTINED and quarantined and quarantined.old_state in self.ALLOWED[self.state]:
            return str(quarantined.old_state)
        return NumberState.ACTIVE


class NumberEventQuerySet(models.QuerySet["NumberEvent"]):
    def into(self, state: NumberState) -> Self:
        """Those by which a number came into this state from another, the newest first."""
        return self.filter(new_state=state).exclude(old_state=state).order_by("-pk")


class NumberEvent(Event):
    number = models.ForeignKey(VirtualNumber, models.CASCADE, related_name="events")

    objects = NumberEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

"""Virtual numbers: what we rent, and its life."""

from typing import ClassVar, Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone

from smsproxy.carriers.base import Feature, NumberType
from smsproxy.phone import area_of
from smsproxy.states import Event, StaleState, Stateful

from .orders import NumberOrder
from .real import RealNumber

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
    """Serves its conversations and takes no new ones."""
    QUARANTINED = "quarantined", "quarantined"
    """The carrier refuses it as a sender. Takes no new conversations until staff put it back."""
    RETIRED = "retired", "retired"
    """No longer ours, or never became ours."""


# Those that new conversations may have.
ASSIGNABLE = models.Q(state=NumberState.ACTIVE, can_sms=True)
# In this order numbers are given out: those that never were, then the one given out longest ago. Not NULLS FIRST, which
# an index of SQLite cannot have.
LONGEST_UNUSED = (
    models.ExpressionWrapper(models.Q(last_assigned_at__isnull=False), output_field=models.BooleanField()),
    "last_assigned_at",
)


class VirtualNumberQuerySet(models.QuerySet["VirtualNumber"]):
    def active(self) -> Self:
        return self.filter(state=NumberState.ACTIVE)

    def in_pool(self) -> Self:
        """Those that we rent or are about to. A retired number may be somebody else's by now."""
        return self.exclude(state=NumberState.RETIRED)

    def ours(self) -> Self:
        """Those that we rent."""
        return self.exclude(state__in=[NumberState.ORDERED, NumberState.RETIRED])

    def assignable(self) -> Self:
        """Those that new conversations may have."""
        return self.filter(ASSIGNABLE)

    def longest_unused_first(self) -> Self:
        return self.order_by(*LONGEST_UNUSED)

    def free_for(self, real_number: RealNumber) -> Self:
        """Those that have no unreleased pair with this person."""
        return self.exclude(pk__in=real_number.participants.unreleased().values("proxy_number"))

    def touch(self) -> int:
        """Note that they were just assigned, so that the next person gets others. How many were noted?

        Nobody waits for it: one that another creator is noting at this moment is left to them.
        """
        ours = self.select_for_update(skip_locked=True, no_key=True)
        return VirtualNumber.objects.filter(pk__in=ours.values("pk")).update(last_assigned_at=Now())


class VirtualNumber(Stateful):
    """A number rented from the carrier."""

    ALLOWED: ClassVar = {
        NumberState.ORDERED: frozenset({NumberState.CONFIGURING, NumberState.RETIRED}),
        NumberState.CONFIGURING: frozenset({NumberState.ACTIVE, NumberState.DRAINING, NumberState.RETIRED}),
        NumberState.ACTIVE: frozenset(
            {NumberState.CONFIGURING, NumberState.DRAINING, NumberState.QUARANTINED, NumberState.RETIRED}
        ),
        NumberState.DRAINING: frozenset({NumberState.ACTIVE, NumberState.QUARANTINED, NumberState.RETIRED}),
        NumberState.QUARANTINED: frozenset({NumberState.ACTIVE, NumberState.DRAINING, NumberState.RETIRED}),
        # A number that was given up may be rented again.
        NumberState.RETIRED: frozenset({NumberState.ORDERED, NumberState.CONFIGURING}),
    }

    number = models.CharField(max_length=16, unique=True, help_text="E.164.")
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    area = models.CharField(max_length=8, blank=True, editable=False, help_text="Calling code and area code.")
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
            )
        ]
        # Assignment reads the first rows of one of these: of the person's area, of their country, or of the whole pool.
        indexes = [
            models.Index("area", *LONGEST_UNUSED, condition=ASSIGNABLE, name="virtual_number_of_area"),
            models.Index("country", *LONGEST_UNUSED, condition=ASSIGNABLE, name="virtual_number_of_country"),
            models.Index(*LONGEST_UNUSED, condition=ASSIGNABLE, name="virtual_number_of_pool"),
        ]

    def __str__(self) -> str:
        return self.number

    @classmethod
    def of(
        cls, number: str, country: str, type_: NumberType | None, features: frozenset[Feature], **fields: object
    ) -> Self:
        """A row for a number as the carrier describes it, not saved."""
        return cls(
            number=number,
            country=country,
            area=area_of(number),
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

    def restore(self, *, reason: str, actor: str = "") -> Self:
        """Back from draining or quarantine."""
        if self.state not in (NumberState.DRAINING, NumberState.QUARANTINED):
            raise StaleState(f"virtual number {self.pk} is {self.state}: there is nothing to restore it from")
        with transaction.atomic():
            self.move(NumberState.ACTIVE, reason=reason, actor=actor)
            number_restored.send(type(self), number=self)
        return self


class NumberEvent(Event):
    number = models.ForeignKey(VirtualNumber, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

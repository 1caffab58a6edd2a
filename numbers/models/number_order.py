"""Orders of numbers, each kept until it ends."""

from collections.abc import Iterable
from typing import ClassVar, Self

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from numbers.models.pool import Pool
from numbers.models.top_up import TopUp
from smsproxy.carriers.base import Feature, NumberQuery, NumberType, PatternPosition
from smsproxy.states import Event, StaleState, StateMachine


class OrderState(models.TextChoices):
    OPEN = "open", _("open")
    """In progress. The same command, run again, resumes it."""
    COMPLETE = "complete", _("complete")
    """All ordered numbers are rented."""
    SHORT = "short", _("short")
    """The carrier had fewer numbers than ordered."""
    ABANDONED = "abandoned", _("abandoned")
    """Given up by an operator."""


class NumberOrderQuerySet(models.QuerySet["NumberOrder"]):
    def of_staff(self) -> Self:
        """Return the orders that staff placed in the admin, which a worker carries out."""
        return self.filter(token__isnull=False)


class NumberOrder(StateMachine):
    """A request to buy a count of numbers. It never buys more, however often it is resumed."""

    ALLOWED: ClassVar = {
        OrderState.OPEN: frozenset({OrderState.COMPLETE, OrderState.SHORT, OrderState.ABANDONED}),
        OrderState.COMPLETE: frozenset(),
        OrderState.SHORT: frozenset(),
        OrderState.ABANDONED: frozenset(),
    }

    country = models.CharField(max_length=2)
    count = models.PositiveIntegerField()
    features = models.CharField(max_length=40, help_text="Comma-separated, in alphabetical order.")
    type = models.CharField(max_length=20, blank=True)
    pattern = models.CharField(max_length=15, blank=True)
    pattern_place = models.CharField(max_length=10)
    max_monthly_cost = models.DecimalField(
        max_digits=8, decimal_places=2, null=True, blank=True, help_text="EUR a month for each number."
    )
    pool = models.ForeignKey(
        Pool, models.PROTECT, null=True, blank=True, related_name="orders", help_text="The pool that its numbers go to."
    )
    top_up = models.ForeignKey(
        TopUp,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        help_text="The top-up rule that placed the order.",
    )
    state = models.CharField(max_length=20, choices=OrderState.choices, default=OrderState.OPEN)
    created_at = models.DateTimeField(default=timezone.now)
    # The fields below are those of staff's orders.
    token = models.UUIDField(
        null=True,
        blank=True,
        unique=True,
        editable=False,
        help_text="Of the form that placed it, so that it does once.",
    )
    ordered_by = models.CharField(
        max_length=150, blank=True, default="", db_default="", help_text="The member of staff who placed it."
    )
    agreed_total = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="EUR a month: the most that all of its numbers may cost together.",
    )
    stopped_by = models.CharField(
        max_length=150, blank=True, default="", db_default="", help_text="The member of staff who stopped it."
    )
    busy_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="A worker holds this order until then."
    )
    retry_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="The next attempt after an error.")
    last_error = models.CharField(
        max_length=300, blank=True, default="", db_default="", editable=False, help_text="Why it does not go on now."
    )

    objects = NumberOrderQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(count__gte=1), name="order_asks_for_a_number"),
            models.UniqueConstraint(
                fields=["top_up"], condition=models.Q(state=OrderState.OPEN), name="one_order_for_one_shortage"
            ),
        ]
        # For the trouble of orders that a worker cannot carry out, which each scrape looks for.
        indexes = [models.Index("id", condition=~models.Q(last_error=""), name="order_that_failed")]

    def __str__(self) -> str:
        return gettext("order %(id)s: %(count)s × %(country)s") % {
            "id": self.pk,
            "count": self.count,
            "country": self.country,
        }

    def abandon(self, *, actor: str = "") -> Self:
        """End the order without buying more. Raises StaleState if it has ended, or a purchase is in progress."""
        with transaction.atomic():
            # A purchase holds this lock while it records its intent.
            NumberOrder.objects.select_for_update().get(pk=self.pk)
            if self.numbers.being_bought().exists():
                raise StaleState(f"order {self.pk} is buying a number")
            return self.transition(OrderState.ABANDONED, reason="given up", actor=actor)

    def stop(self, *, reason: str, actor: str) -> Self:
        """Begin no purchase any more. Raises StaleState if it has ended, was stopped, or is not staff's.

        A purchase in progress is finished first. Then the worker ends the order.
        """
        with transaction.atomic():
            rows = NumberOrder.objects.of_staff().filter(pk=self.pk, state=OrderState.OPEN, stopped_by="")
            if rows.update(stopped_by=actor, retry_at=None) != 1:
                raise StaleState(f"order {self.pk} cannot be stopped")
            self.record_event(self.state, old_state=self.state, reason=f"stopped: {reason}", actor=actor)
        self.stopped_by = actor
        return self

    @staticmethod
    def features_text(features: Iterable[Feature]) -> str:
        """Return the value of the column `features`."""
        return ",".join(sorted(features))

    @property
    def query(self) -> NumberQuery:
        """The search for numbers at the carrier."""
        return NumberQuery(
            country=self.country,
            features=frozenset(Feature(name) for name in self.features.split(",")),
            type=NumberType(self.type) if self.type else None,
            pattern=self.pattern,
            pattern_place=PatternPosition(self.pattern_place),
        )


class OrderEvent(Event):
    order = models.ForeignKey(NumberOrder, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

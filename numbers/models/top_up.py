"""Top-ups: rules by which a pool buys numbers automatically, within a budget."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from numbers.models.pool import Pool, pool_name
from smsproxy import values
from smsproxy.carriers.base import NumberType

# The actor in the events of orders opened by a top-up.
ACTOR = "top-up"
_NOT_NEGATIVE = [MinValueValidator(Decimal(0))]


class TopUp(models.Model):
    """A rule that keeps numbers of one country free in one pool. Free is counted for the busiest person there."""

    pool = models.ForeignKey(Pool, models.PROTECT, null=True, blank=True, related_name="top_ups")
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    is_enabled = models.BooleanField(
        "buys numbers", default=False, help_text="Off: report purchases without making them."
    )
    low_threshold = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="Buy numbers when fewer than this are free."
    )
    target = models.PositiveIntegerField(help_text="The number of free numbers after buying.")
    monthly_budget = models.DecimalField(
        max_digits=9,
        decimal_places=2,
        validators=_NOT_NEGATIVE,
        help_text="EUR a month: the maximum total cost of the numbers that this rule buys.",
    )
    max_monthly_cost = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        validators=_NOT_NEGATIVE,
        help_text="EUR a month: the maximum cost of one number. Numbers of unknown cost are not bought.",
    )
    type = models.CharField(max_length=20, blank=True, choices=[(kind.value, kind.value) for kind in NumberType])
    busy_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="A worker holds this rule until then."
    )
    retry_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The next attempt after a failed purchase."
    )
    last_error = models.CharField(
        max_length=300, blank=True, editable=False, help_text="The error of the last purchase."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pool__name", "country"]
        verbose_name = "top-up"
        constraints = [
            models.UniqueConstraint(
                fields=["pool", "country"], condition=models.Q(pool__isnull=False), name="one_top_up_of_a_pool"
            ),
            models.UniqueConstraint(
                fields=["country"], condition=models.Q(pool__isnull=True), name="one_top_up_of_the_common_pool"
            ),
            models.CheckConstraint(
                condition=models.Q(target__gte=models.F("low_threshold")), name="top_up_fills_to_its_mark_or_above"
            ),
        ]

    def __str__(self) -> str:
        return _("top-up of %(pool)s, %(country)s") % {"pool": pool_name(self.pool), "country": self.country}

    def clean(self) -> None:
        try:
            self.country = values.country(self.country)
        except values.InvalidValue as error:
            raise ValidationError({"country": values.sentence(error)}) from None
        if self.low_threshold is not None and self.target is not None and self.target < self.low_threshold:
            raise ValidationError({"target": "Expected the low threshold or more."})
        if TopUp.objects.filter(pool=self.pool, country=self.country).exclude(pk=self.pk).exists():
            raise ValidationError({"country": _("This rule exists: %(rule)s. Change that one.") % {"rule": self}})

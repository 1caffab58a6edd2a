"""What the last webhooks of each endpoint were, so that silence and refusal are noticed."""

from datetime import datetime, timedelta

from django.db import models

from smsproxy.carriers.old_secret import take_use
from smsproxy.database.clock import DatabaseNow

from .inbound import InboundMessage
from .receipt import DeliveryReceipt
from .rejected_webhook import RejectedWebhook

ENDPOINTS = ("inbound-sms", "delivery-receipt")
# Days whose gaps say what is usual.
USUAL_DAYS = 7


class WebhookWatchQuerySet(models.QuerySet["WebhookWatch"]):
    def look(self, *, at: datetime) -> None:
        """Note what has come at each endpoint since the last look."""
        for endpoint in ENDPOINTS:
            watch, _ = self.get_or_create(endpoint=endpoint)
            watch.look(at=at)

    def store_old_secret(self) -> None:
        """Store that this process has met webhooks signed with an old secret, if it has."""
        if take_use():
            self.update(old_secret_at=DatabaseNow())

    def old_secret_at(self) -> datetime | None:
        """Return when a webhook was last signed with an old secret."""
        last: datetime | None = self.aggregate(last=models.Max("old_secret_at"))["last"]
        return last


class WebhookWatch(models.Model):
    """One endpoint. A worker compares it with the stored webhooks every few seconds, so webhooks cost nothing more."""

    endpoint = models.CharField(max_length=40, unique=True)
    accepted_at = models.DateTimeField(null=True, blank=True, help_text="When the last webhook was accepted.")
    refused_before = models.PositiveBigIntegerField(default=0, help_text="Refused webhooks until then, of all time.")
    refused_at = models.DateTimeField(null=True, blank=True, help_text="When the last refused webhook was noticed.")
    refused_total = models.PositiveBigIntegerField(default=0, help_text="Refused webhooks, of all time.")
    gaps = models.JSONField(default=dict, help_text="The longest time without a webhook, in seconds, by day.")

    old_secret_at = models.DateTimeField(
        null=True, blank=True, help_text="When a webhook was last signed with an old secret."
    )

    objects = WebhookWatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "webhook watches"
        ordering = ["endpoint"]

    def __str__(self) -> str:
        return self.endpoint

    @property
    def refused_since_accepted(self) -> int:
        return max(self.refused_total - self.refused_before, 0)

    @property
    def usual_gap(self) -> timedelta | None:
        """Return the longest time without a webhook in the last days; None if fewer than three days are known."""
        return timedelta(seconds=max(self.gaps.values())) if len(self.gaps) >= 3 else None

    def look(self, *, at: datetime) -> None:
        """Note what has come since the last look. Processes that look at once note the same."""
        accepted_at, total = _last_accepted(self.endpoint), RejectedWebhook.objects.total_of(self.endpoint)
        before = self.accepted_at
        if (accepted_at, total) == (before, self.refused_total):
            return
        if accepted_at is not None and (before is None or accepted_at > before):
            self.refused_before = total
            if before is not None:
                self._note_gap((accepted_at - before).total_seconds(), at=accepted_at)
            self.accepted_at = accepted_at
        if total > self.refused_total:
            self.refused_at = at
        self.refused_before = min(self.refused_before, total)  # Old counts are deleted.
        self.refused_total = total
        self.save(update_fields=["accepted_at", "refused_before", "refused_at", "refused_total", "gaps"])

    def _note_gap(self, seconds: float, *, at: datetime) -> None:
        day = at.date().isoformat()
        self.gaps[day] = max(seconds, self.gaps.get(day, 0))
        first = (at.date() - timedelta(days=USUAL_DAYS)).isoformat()
        self.gaps = {each: gap for each, gap in self.gaps.items() if each >= first}


def _last_accepted(endpoint: str) -> datetime | None:
    model: type[InboundMessage | DeliveryReceipt] = (
        DeliveryReceipt if endpoint == "delivery-receipt" else InboundMessage
    )
    return model.objects.order_by("-pk").values_list("received_at", flat=True).first()

"""What people sent to our numbers, and what became of it."""

from typing import ClassVar

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

from numbers.models import RealNumber, VirtualNumber
from smsproxy.crypto import EncryptedTextField

from .conversation import Participant


class Outcome(models.TextChoices):
    RELAYED = "relayed", "relayed"
    """Queued for the other participants."""
    ENDED = "ended", "conversation ended"
    """The conversation is over; its numbers are still cooling down."""
    NO_ROUTE = "no_route", "no route"
    """The number means nothing for this sender."""
    LOOP = "loop", "from ourselves"
    """The sender is a virtual number of ours: answering it could go on for ever."""
    UNDECODABLE = "undecodable", "undecodable"
    """Signed, but not in a shape that we understand. The raw body is kept."""


class InboundMessageQuerySet(models.QuerySet["InboundMessage"]):
    def record(self, message: "InboundMessage") -> bool:
        """Store it, unless this carrier message id has been stored before. Was it new?"""
        try:
            with transaction.atomic():
                message.save(force_insert=True)
        except IntegrityError:
            if self.filter(carrier_message_id=message.carrier_message_id).exists():
                return False
            raise
        return True


class InboundMessage(models.Model):
    """A text to one of our numbers (MO). Written once, with its outcome, and never changed."""

    carrier_message_id = models.CharField(max_length=80, unique=True, help_text="The carrier's id: once in, once.")
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    reason = models.CharField(max_length=200, blank=True, help_text="Why this outcome, where it does not say itself.")
    sender = models.ForeignKey(RealNumber, models.PROTECT, null=True, blank=True, related_name="inbound_messages")
    virtual_number = models.ForeignKey(
        VirtualNumber, models.PROTECT, null=True, blank=True, related_name="inbound_messages"
    )
    participant = models.ForeignKey(
        Participant, models.PROTECT, null=True, blank=True, related_name="inbound_messages", help_text="Who wrote it."
    )
    text = EncryptedTextField(blank=True)
    raw = EncryptedTextField(blank=True, help_text="The whole webhook, where it did not fit into the fields here.")
    group = models.CharField(max_length=20, blank=True, help_text="The same for all parts of a long message.")
    part = models.PositiveSmallIntegerField(default=1)
    parts = models.PositiveSmallIntegerField(default=1)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the carrier began to push it to us.")
    received_at = models.DateTimeField(default=timezone.now)

    objects = InboundMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        permissions: ClassVar = [("read_message_text", "Can read the texts of messages")]

    def __str__(self) -> str:
        return f"inbound message {self.pk}"


class RejectedWebhookQuerySet(models.QuerySet["RejectedWebhook"]):
    def count_one(self, endpoint: str, reason: str) -> None:
        today = self.filter(day=timezone.now().date(), endpoint=endpoint, reason=reason)
        if not today.update(count=F("count") + 1):
            self.bulk_create(
                [self.model(day=timezone.now().date(), endpoint=endpoint, reason=reason)], ignore_conflicts=True
            )
            today.update(count=F("count") + 1)


class RejectedWebhook(models.Model):
    """How many calls without a good signature there were: all that is kept of them."""

    day = models.DateField()
    endpoint = models.CharField(max_length=40)
    reason = models.CharField(max_length=40)
    count = models.PositiveBigIntegerField(default=0)

    objects = RejectedWebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-day", "endpoint", "reason"]
        constraints = [models.UniqueConstraint(fields=["day", "endpoint", "reason"], name="one_counter_a_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.endpoint} {self.reason}: {self.count}"

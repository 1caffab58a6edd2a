"""What people sent to our numbers, and what became of it."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

from numbers.models import RealNumber, VirtualNumber
from smsproxy.crypto import EncryptedTextField

from .participant import Participant


class Outcome(models.TextChoices):
    RELAYED = "relayed", "relayed"
    """Queued for the other participants."""
    ENDED = "ended", "conversation ended"
    """The conversation is over; its numbers are still cooling down."""
    NO_ROUTE = "no_route", "no route"
    """The number means nothing for this sender."""
    PART = "part", "part of a long text"
    """Kept until the others are here, or CONCAT_TIMEOUT is over. The whole text is an inbound message of its own."""
    DUPLICATE_PART = "duplicate_part", "repeated part"
    """We have this part of the long text already."""
    TOO_LONG = "too_long", "too long"
    """Passing it on would take more than MAX_SEGMENTS. Its sender was told."""
    EMPTY = "empty", "empty"
    """There is nothing to pass on."""
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


class LongTextQuerySet(models.QuerySet["LongText"]):
    def due(self, at: datetime) -> Self:
        """Open, though the time for the parts that are missing is over."""
        return self.filter(closed_at__isnull=True, due_at__lte=at).order_by("due_at")


class LongText(models.Model):
    """A text that reaches us in several parts, each an inbound message: collected here, then passed on as one."""

    sender = models.ForeignKey(RealNumber, models.PROTECT, related_name="long_texts")
    virtual_number = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="long_texts")
    group = models.CharField(
        max_length=20, help_text="The phone's number for it: a small counter, used again and again."
    )
    parts = models.PositiveSmallIntegerField(help_text="How many parts it has.")
    due_at = models.DateTimeField(help_text="When it is passed on with what there is.")
    closed_at = models.DateTimeField(null=True, blank=True, help_text="When it was passed on.")

    objects = LongTextQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sender", "virtual_number", "group", "parts"],
                condition=models.Q(closed_at__isnull=True),
                name="one_open_long_text",
            )
        ]
        indexes = [
            # The sweep for those of which a part never came.
            models.Index("due_at", condition=models.Q(closed_at__isnull=True), name="long_text_due")
        ]

    def __str__(self) -> str:
        return f"long text {self.pk}"

    def here(self) -> InboundMessageQuerySet:
        """The parts that have come, each once."""
        return InboundMessage.objects.filter(long_text=self, outcome=Outcome.PART)


class InboundMessage(models.Model):
    """A text to one of our numbers (MO). Written once, with its outcome, and never changed."""

    carrier_message_id = models.CharField(max_length=80, help_text="The carrier's id: once in, once.")
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
    long_text = models.ForeignKey(
        LongText, models.PROTECT, null=True, blank=True, related_name="messages", help_text="What it is a part of."
    )
    missing_parts = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Of a long text that was passed on without them: how many never came."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the carrier began to push it to us.")
    received_at = models.DateTimeField(default=timezone.now)

    objects = InboundMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        # Not `unique=True`, which on PostgreSQL brings a second index, for LIKE.
        constraints = [models.UniqueConstraint(fields=["carrier_message_id"], name="once_in_once")]
        permissions: ClassVar = [("read_message_text", "Can read the texts of messages")]

    def __str__(self) -> str:
        return f"inbound message {self.pk}"


class RejectedWebhookQuerySet(models.QuerySet["RejectedWebhook"]):
    def add(self, endpoint: str, reason: str, number: int) -> None:
        """Count so many more, today. rejections.py sees to it that this is not done for each of them."""
        day = timezone.now().date()
        today = self.filter(day=day, endpoint=endpoint, reason=reason)
        if not today.update(count=F("count") + number):
            self.bulk_create([self.model(day=day, endpoint=endpoint, reason=reason)], ignore_conflicts=True)
            today.update(count=F("count") + number)


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

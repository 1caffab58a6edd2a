"""Delivery receipts (DLR): what the carrier reports about outbound messages."""

from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from numbers.models import VirtualNumber
from smsproxy.carriers.base import ReceiptStatus

from .outbound import OutboundMessage


class DeliveryReceiptQuerySet(models.QuerySet["DeliveryReceipt"]):
    def unmatched(self) -> Self:
        """Return receipts without a message: not ours, or received before the carrier's id was recorded."""
        return self.filter(message__isnull=True)

    def since(self, at: datetime) -> Self:
        return self.filter(received_at__gte=at)


class DeliveryReceipt(models.Model):
    """A delivery receipt for one part of a message, stored once."""

    carrier_message_id = models.CharField(max_length=80)
    client_ref = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, choices=[(status.value, status.value) for status in ReceiptStatus])
    error_code = models.CharField(max_length=20, blank=True)
    message = models.ForeignKey(OutboundMessage, models.CASCADE, null=True, blank=True, related_name="receipts")
    # Copied from the message, so that one index covers the health of all numbers.
    virtual_number = models.ForeignKey(
        VirtualNumber, models.CASCADE, null=True, blank=True, db_index=False, related_name="receipts"
    )
    network = models.CharField(
        max_length=10, blank=True, help_text="The recipient's network as MCC and MNC, such as 23410."
    )
    received_at = models.DateTimeField(default=timezone.now)

    objects = DeliveryReceiptQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["carrier_message_id", "status", "error_code"], name="unique_receipt")
        ]
        indexes = [
            # For receipts that arrived before the message was recorded as sent, by part ...
            models.Index("carrier_message_id", condition=models.Q(message__isnull=True), name="receipt_unmatched"),
            # ... and for the periodic job that matches late ones.
            models.Index("received_at", condition=models.Q(message__isnull=True), name="receipt_unmatched_recent"),
            # For the health of numbers: recent final receipts by number and network.
            models.Index(
                "received_at",
                "virtual_number",
                "network",
                "status",
                "error_code",
                condition=models.Q(status__in=[ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED]),
                name="receipt_health",
            ),
        ]

    def __str__(self) -> str:
        return _("receipt %(id)s") % {"id": self.pk}

"""Helpers of the tests of number health: its limits, receipts of a number, and the quarantined numbers."""

from conversations.models import DeliveryReceipt
from numbers.health import quarantine_outliers
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import ReceiptStatus

LEAST, THRESHOLD, WINDOW = 20, 30, 6 * 3600
NETWORK, ANOTHER = "23410", "23415"


def receipts(number, *, delivered=0, lost=0, network=NETWORK, code="1", status=None):
    """Store delivery receipts for SMS from a number, received now."""
    words = [(status or ReceiptStatus.DELIVERED, "")] * delivered + [(ReceiptStatus.UNDELIVERED, code)] * lost
    first = DeliveryReceipt.objects.count()
    DeliveryReceipt.objects.bulk_create(
        DeliveryReceipt(
            carrier_message_id=f"{first + place}",
            status=word,
            error_code=error_code,
            virtual_number=number,
            network=network,
        )
        for place, (word, error_code) in enumerate(words)
    )


def quarantined():
    """Run the health check, and return the numbers in quarantine."""
    quarantine_outliers()
    return list(VirtualNumber.objects.filter(state=NumberState.QUARANTINED))

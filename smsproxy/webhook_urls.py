"""The URLs of our webhooks, as the carrier needs them.

They are constants, because reversing the URL patterns would load all pages into the worker.
"""

from django.conf import settings

INBOUND_SMS_PATH = "webhooks/vonage/inbound-sms"
DELIVERY_RECEIPT_PATH = "webhooks/vonage/delivery-receipt"


def inbound_sms_url() -> str:
    """Return the URL to which a number posts its inbound messages."""
    return f"{settings.PUBLIC_URL}/{INBOUND_SMS_PATH}"


def delivery_receipt_url() -> str:
    """Return the URL to which the carrier posts delivery receipts."""
    return f"{settings.PUBLIC_URL}/{DELIVERY_RECEIPT_PATH}"

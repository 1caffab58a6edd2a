"""Where the carrier's webhooks reach us, as the carrier must be told.

Written down and not asked of the URL patterns, which would load all pages into the worker.
"""

from django.conf import settings

INBOUND_SMS_PATH = "webhooks/vonage/inbound-sms"
DELIVERY_RECEIPT_PATH = "webhooks/vonage/delivery-receipt"


def inbound_sms_url() -> str:
    return f"{settings.PUBLIC_URL}/{INBOUND_SMS_PATH}"


def delivery_receipt_url() -> str:
    return f"{settings.PUBLIC_URL}/{DELIVERY_RECEIPT_PATH}"

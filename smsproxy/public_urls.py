"""Where the carrier's webhooks reach us, as the carrier must be told."""

from django.conf import settings
from django.urls import reverse


def inbound_sms_url() -> str:
    return f"{settings.PUBLIC_URL}{reverse('inbound-sms')}"


def delivery_receipt_url() -> str:
    return f"{settings.PUBLIC_URL}{reverse('delivery-receipt')}"

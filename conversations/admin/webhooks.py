"""What the carrier's webhooks brought besides messages: delivery receipts and counts of rejected requests."""

from django.contrib import admin

from conversations.models import DeliveryReceipt, RejectedWebhook, SiteCertificate, WebhookWatch
from smsproxy.staff.model_admin import ReadOnlyAdmin


@admin.register(DeliveryReceipt)
class DeliveryReceiptAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "status", "error_code", "network", "carrier_message_id", "message"]
    list_filter = ["status", "error_code", ("message", admin.EmptyFieldListFilter)]
    list_select_related = ["message"]
    search_fields = ["carrier_message_id", "client_ref"]


@admin.register(RejectedWebhook)
class RejectedWebhookAdmin(ReadOnlyAdmin):
    list_display = ["day", "endpoint", "reason", "count"]
    list_filter = ["endpoint", "reason"]


@admin.register(WebhookWatch)
class WebhookWatchAdmin(ReadOnlyAdmin):
    list_display = ["endpoint", "accepted_at", "refused_since_accepted", "refused_at", "old_secret_at"]


@admin.register(SiteCertificate)
class SiteCertificateAdmin(ReadOnlyAdmin):
    list_display = ["url", "ends_at", "trouble", "checked_at"]

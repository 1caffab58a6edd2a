"""What the carrier's webhooks brought besides messages: delivery receipts and counts of rejected requests."""

from collections.abc import Iterable

from django.contrib import admin
from django.utils.translation import gettext_lazy

from conversations.admin.large_tables import FOUND, LargeTable
from conversations.insight.find import hexadecimal_span
from conversations.models import DeliveryReceipt, OutboundMessage, RejectedWebhook, SiteCertificate, WebhookWatch
from smsproxy.staff.model_admin import ReadOnlyAdmin


@admin.register(DeliveryReceipt)
class DeliveryReceiptAdmin(LargeTable, ReadOnlyAdmin):
    list_defer = ("message__text",)
    list_display = ["received_at", "status", "error_code", "network", "carrier_message_id", "message"]
    list_filter = [("message", admin.EmptyFieldListFilter)]
    list_select_related = ["message"]
    search_fields = ["carrier_message_id"]
    search_help_text = gettext_lazy("By the carrier's id, or our reference.")

    def ids_named(self, text: str) -> Iterable[int]:
        yield from DeliveryReceipt.objects.filter(carrier_message_id=text).values_list("pk", flat=True)
        if span := hexadecimal_span(text.partition(".")[0]):
            sent = OutboundMessage.objects.filter(client_ref__range=span).order_by().values_list("pk", flat=True)
            of_these = DeliveryReceipt.objects.filter(message__in=list(sent[:FOUND])).order_by()
            yield from of_these.values_list("pk", flat=True)[:FOUND]


@admin.register(RejectedWebhook)
class RejectedWebhookAdmin(ReadOnlyAdmin):
    list_display = ["day", "endpoint", "reason", "count"]
    list_filter = ["endpoint", "reason"]


@admin.register(WebhookWatch)
class WebhookWatchAdmin(ReadOnlyAdmin):
    list_display = ["endpoint", "accepted_at", "refused_since", "refused_at", "old_secret_at"]

    @admin.display(description=gettext_lazy("refused since accepted"))
    def refused_since(self, watch: WebhookWatch) -> int:
        return watch.refused_since_accepted


@admin.register(SiteCertificate)
class SiteCertificateAdmin(ReadOnlyAdmin):
    list_display = ["url", "ends_at", "trouble", "checked_at"]

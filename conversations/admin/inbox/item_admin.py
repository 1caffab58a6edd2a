"""What staff did about items of the inbox, for staff."""

from django.contrib import admin

from conversations.models import InboxItem
from smsproxy.staff.concerned import concerns
from smsproxy.staff.model_admin import ReadOnlyAdmin

concerns(
    InboxItem,
    lambda item: [
        item.inbound.sender_id if item.inbound else None,
        item.outbound.recipient_id if item.outbound else None,
    ],
)


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "inbound", "outbound", "conversation", "taken_by", "taken_at", "done_by", "outcome"]
    list_filter = ["outcome"]
    list_select_related = ["inbound", "outbound", "conversation"]
    search_fields = ["=taken_by", "=done_by"]

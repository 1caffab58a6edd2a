"""What staff did about items of the inbox, for staff. And who may uncover a text that waits there."""

from django.contrib import admin

from conversations.models import InboundMessage, InboxItem
from smsproxy.staff.concerned import concerns
from smsproxy.staff.model_admin import ReadOnlyAdmin
from smsproxy.staff.models import RevealKind
from smsproxy.staff.reveal_pages import register

concerns(InboundMessage, lambda message: [message.sender_id])
register(RevealKind.STRANGER_TEXT, InboundMessage, "conversations.read_message_text")


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "inbound", "outbound", "conversation", "taken_by", "taken_at", "done_by", "outcome"]
    list_filter = ["outcome"]
    list_select_related = ["inbound", "outbound", "conversation"]
    search_fields = ["=taken_by", "=done_by"]

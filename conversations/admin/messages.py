"""Messages in both directions, for staff. Lists show neither bodies nor real numbers."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from conversations.admin.blocks import block_url, without_block_links
from conversations.admin.personal_data import PersonalDataAdmin
from conversations.models import (
    ApiMessage,
    DeliveryReceipt,
    InboundMessage,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    RetentionMark,
    TextErasure,
    UnreadableRow,
)
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline
from smsproxy.staff.models import RevealKind


class MessageAdmin(PersonalDataAdmin):
    """A message. Its body is shown on its own page only, under a reveal."""

    needs: ClassVar = {
        "text": ["conversations.read_message_text"],
        # The raw webhook also contains the sender's number.
        "raw": ["conversations.read_message_text", "numbers.reveal_realnumber"],
    }


@admin.register(InboundMessage)
class InboundMessageAdmin(MessageAdmin):
    list_display = [
        "received_at",
        "outcome",
        "reason",
        "sender",
        "virtual_number",
        "participant",
        "part",
        "parts",
        "missing_parts",
    ]
    list_filter = ["outcome", "received_at"]
    list_select_related = ["sender", "virtual_number", "participant"]
    date_hierarchy = "received_at"
    search_fields = ["carrier_message_id", "virtual_number__number", "participant__conversation__reference"]

    readonly_fields = ["blocks"]

    @admin.display(description=_("blocks"))
    def blocks(self, message: InboundMessage) -> str:
        if message.sender_id is None:
            return "-"
        return format_html('<a href="{}">{}</a>', block_url(message.sender_id), _("Block its sender"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return without_block_links(request, super().get_fields(request, obj))

    def conversation_id(self, row: InboundMessage) -> int | None:
        return row.participant.conversation_id if row.participant else None

    def reveal_of(self, row: InboundMessage) -> tuple[RevealKind, int]:
        """Return the reveal of its conversation. A stranger's text has one of its own."""
        return super().reveal_of(row) or (RevealKind.STRANGER_TEXT, row.pk)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # Used by the link on the page of a conversation.
        return lookup == "participant__conversation__id__exact" or super().lookup_allowed(lookup, value, request)


class ApiMessageLegInline(ReadOnlyInline):
    """What each participant was sent of it. The text is on the page of the message."""

    model = OutboundMessage
    verbose_name_plural = _("recipients")
    fields = ["participant", "state", "sender", "segments", "error_code"]
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> "QuerySet[OutboundMessage]":
        messages: QuerySet[OutboundMessage] = super().get_queryset(request)
        return messages.defer("text").select_related("participant", "sender").order_by("pk")


@admin.register(ApiMessage)
class ApiMessageAdmin(MessageAdmin):
    list_display = ["created_at", "conversation", "author", "created_by", "written_by"]
    list_filter = ["created_at"]
    list_select_related = ["conversation", "author", "created_by"]
    search_fields = ["conversation__reference"]
    inlines = [ApiMessageLegInline]


class LongTextMessageInline(ReadOnlyInline):
    """The parts of a long message, and the whole. Their bodies are on their own pages."""

    model = InboundMessage
    fields = ["received_at", "outcome", "part", "parts", "missing_parts"]
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> "QuerySet[InboundMessage]":
        messages: QuerySet[InboundMessage] = super().get_queryset(request)
        return messages.defer("text", "raw")


@admin.register(LongMessage)
class LongMessageAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "sender", "virtual_number", "concat_ref", "parts", "due_at", "closed_at"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter), "due_at"]
    list_select_related = ["sender", "virtual_number"]
    search_fields = ["virtual_number__number"]
    inlines = [LongTextMessageInline]


class MessageEventInline(ReadOnlyInline):
    model = MessageEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


class OutboundPartInline(ReadOnlyInline):
    model = OutboundPart
    fields = ["carrier_message_id", "status", "error_code", "price"]


class ReceiptInline(ReadOnlyInline):
    model = DeliveryReceipt
    fields = ["received_at", "carrier_message_id", "status", "error_code", "network"]


NOT_SEEN = _("not seen by the carrier")


class CarrierRecordsFilter(admin.SimpleListFilter):
    title = _("carrier's records")
    parameter_name = "carrier_records"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("not_seen", str(NOT_SEEN))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.not_seen() if self.value() == "not_seen" else queryset


@admin.register(OutboundMessage)
class OutboundMessageAdmin(MessageAdmin):
    list_display = [
        "created_at",
        "kind",
        "state",
        "sender",
        "recipient",
        "segments",
        "attempts",
        "error_code",
        "due_at",
        "carrier_records",
    ]
    list_filter = ["state", CarrierRecordsFilter, "kind", "created_at", "sender__country"]
    list_select_related = ["sender", "recipient"]
    date_hierarchy = "created_at"
    search_fields = ["client_ref", "parts__carrier_message_id", "sender__number", "conversation__reference"]
    inlines = [OutboundPartInline, ReceiptInline, MessageEventInline]
    actions = ["resend", "drop"]
    readonly_fields = ["carrier_records"]

    def reveal_of(self, row: OutboundMessage) -> tuple[RevealKind, int] | None:
        """Return the reveal of its conversation. An answer to a stranger is shown with the text that it answers."""
        stranger = (RevealKind.STRANGER_TEXT, row.inbound_id) if row.inbound_id is not None else None
        return super().reveal_of(row) or stranger

    @admin.display(description=_("carrier's records"))
    def carrier_records(self, message: OutboundMessage) -> str:
        return str(NOT_SEEN) if message.is_not_seen else "-"

    @admin.action(description=_("Send again (it may arrive twice)"), permissions=["change_state"])
    def resend(self, request: HttpRequest, queryset: "QuerySet[OutboundMessage]") -> None:
        self.apply_to_each(request, queryset, lambda row, actor: row.resend(reason="staff: send again", actor=actor))

    @admin.action(description=_("Do not send"), permissions=["change_state"])
    def drop(self, request: HttpRequest, queryset: "QuerySet[OutboundMessage]") -> None:
        self.apply_to_each(request, queryset, lambda row, actor: row.cancel(reason="staff: do not send", actor=actor))


@admin.register(OutboundPart)
class OutboundPartAdmin(ReadOnlyAdmin):
    list_display = ["carrier_message_id", "message", "status", "error_code", "price"]
    list_filter = ["status", "error_code"]
    list_select_related = ["message"]
    search_fields = ["carrier_message_id"]


@admin.register(MessageEvent)
class MessageEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "message", "old_state", "new_state", "reason", "actor"]
    list_filter = ["new_state", "created_at"]
    list_select_related = ["message"]


@admin.register(TextErasure)
class TextErasureAdmin(ReadOnlyAdmin):
    list_display = ["table", "up_to"]


@admin.register(RetentionMark)
class RetentionMarkAdmin(ReadOnlyAdmin):
    list_display = ["table", "up_to", "began_at"]


@admin.register(UnreadableRow)
class UnreadableRowAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "met_at", "checked_at"]
    list_filter = ["table"]

"""Messages in both directions, for staff. Lists show neither bodies nor real numbers."""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from conversations.admin.blocks import block_url, without_block_links
from conversations.admin.large_tables import FOUND, LargeTable, choices_filter, set_filter
from conversations.admin.message_admin import MessageAdmin
from conversations.admin.thread.acts import DROP, RESEND
from conversations.insight.find import find_conversations, hexadecimal_span
from conversations.models import (
    ApiMessage,
    DeliveryReceipt,
    InboundMessage,
    InboundOutcome,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    OutboundState,
    Participant,
)
from conversations.models.message_order import ID_IN_ORDER
from numbers.models import VirtualNumber
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline
from smsproxy.staff.models import RevealKind

# Of most rows, the newest page is at the end of the table. The others have an index.
RARE_OUTCOMES = [choice for choice in InboundOutcome.choices if choice[0] != InboundOutcome.RELAYED]
RARE_STATES = [
    (state.value, state.label) for state in OutboundState if state not in (OutboundState.SENT, OutboundState.DELIVERED)
]


@admin.register(InboundMessage)
class InboundMessageAdmin(LargeTable, MessageAdmin):
    list_defer = ("text", "raw")
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
    list_filter = [choices_filter(_("outcome"), "outcome__exact", RARE_OUTCOMES)]
    list_select_related = ["sender", "virtual_number", "participant"]
    search_fields = ["carrier_message_id"]
    search_help_text = _("By the carrier's id, the virtual number, or the conversation's reference or id.")

    readonly_fields = ["blocks"]

    def ids_named(self, text: str) -> Iterable[int]:
        yield from InboundMessage.objects.filter(carrier_message_id=text).values_list("pk", flat=True)
        authors = Participant.objects.filter(conversation__in=find_conversations(text)).values_list("pk", flat=True)
        written = InboundMessage.objects.filter(participant__in=list(authors)).order_by(ID_IN_ORDER.desc())
        yield from written.values_list("pk", flat=True)[:FOUND]

    def ids_of_numbers(self, numbers: Collection[VirtualNumber]) -> Iterable[int]:
        received = InboundMessage.objects.filter(virtual_number__in=numbers).order_by(ID_IN_ORDER.desc())
        return received.values_list("pk", flat=True)[:FOUND]

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
class ApiMessageAdmin(LargeTable, MessageAdmin):
    list_defer = ("text", "conversation__metadata")
    list_display = ["created_at", "conversation", "author", "created_by", "written_by"]
    list_select_related = ["conversation", "author", "created_by"]
    search_fields = ["conversation__reference"]
    search_help_text = _("By the conversation's reference or id.")
    inlines = [ApiMessageLegInline]

    def ids_named(self, text: str) -> Iterable[int]:
        sent = ApiMessage.objects.filter(conversation__in=find_conversations(text)).order_by(ID_IN_ORDER.desc())
        return sent.values_list("pk", flat=True)[:FOUND]


class LongTextMessageInline(ReadOnlyInline):
    """The parts of a long message, and the whole. Their bodies are on their own pages."""

    model = InboundMessage
    fields = ["received_at", "outcome", "part", "parts", "missing_parts"]
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> "QuerySet[InboundMessage]":
        messages: QuerySet[InboundMessage] = super().get_queryset(request)
        return messages.defer("text", "raw")


@admin.register(LongMessage)
class LongMessageAdmin(LargeTable, ReadOnlyAdmin):
    list_display = ["__str__", "sender", "virtual_number", "concat_ref", "parts", "due_at", "closed_at"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["sender", "virtual_number"]
    search_fields = ["virtual_number__number"]
    search_help_text = _("By the virtual number, or its beginning.")
    inlines = [LongTextMessageInline]

    def ids_of_numbers(self, numbers: Collection[VirtualNumber]) -> Iterable[int]:
        received = LongMessage.objects.filter(virtual_number__in=numbers).order_by("-pk")
        return received.values_list("pk", flat=True)[:FOUND]


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


@admin.register(OutboundMessage)
class OutboundMessageAdmin(LargeTable, MessageAdmin):
    list_defer = ("text",)
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
    list_filter = [
        choices_filter(_("state"), "state__exact", RARE_STATES),
        set_filter(_("carrier's records"), "carrier_records", {"not_seen": (NOT_SEEN, lambda rows: rows.not_seen())}),
        set_filter(
            _("confirmations"),
            "confirmations",
            {"failed": (_("not delivered"), lambda rows: rows.failed_confirmations())},
        ),
    ]
    list_select_related = ["sender", "recipient"]
    search_fields = ["client_ref"]
    search_help_text = _("By our reference or the carrier's id, or the conversation's reference or id.")
    inlines = [OutboundPartInline, ReceiptInline, MessageEventInline]
    actions = ["resend", "drop"]
    readonly_fields = ["carrier_records"]

    def ids_named(self, text: str) -> Iterable[int]:
        yield from OutboundPart.objects.filter(carrier_message_id=text).values_list("message_id", flat=True)
        if span := hexadecimal_span(text.partition(".")[0]):
            named = OutboundMessage.objects.filter(client_ref__range=span).order_by()
            yield from named.values_list("pk", flat=True)[:FOUND]
        sent = OutboundMessage.objects.filter(conversation__in=find_conversations(text)).order_by()
        yield from sent.values_list("pk", flat=True)[:FOUND]

    def reveal_of(self, row: OutboundMessage) -> tuple[RevealKind, int] | None:
        """Return the reveal of its conversation. An answer to a stranger is shown with the text that it answers."""
        stranger = (RevealKind.STRANGER_TEXT, row.inbound_id) if row.inbound_id is not None else None
        return super().reveal_of(row) or stranger

    @admin.display(description=_("carrier's records"))
    def carrier_records(self, message: OutboundMessage) -> str:
        return str(NOT_SEEN) if message.is_not_seen else "-"

    @admin.action(description=_("Send again (it may arrive twice)"), permissions=["change_state"])
    def resend(self, request: HttpRequest, queryset: "QuerySet[OutboundMessage]") -> None:
        self.apply_act(request, queryset, RESEND)

    @admin.action(description=_("Do not send"), permissions=["change_state"])
    def drop(self, request: HttpRequest, queryset: "QuerySet[OutboundMessage]") -> None:
        self.apply_act(request, queryset, DROP)


@admin.register(OutboundPart)
class OutboundPartAdmin(LargeTable, ReadOnlyAdmin):
    list_defer = ("message__text",)
    list_display = ["carrier_message_id", "message", "status", "error_code", "price"]
    list_select_related = ["message"]
    ordering = ["-id"]
    search_fields = ["carrier_message_id"]
    search_help_text = _("By the carrier's id.")

    def ids_named(self, text: str) -> Iterable[int]:
        return OutboundPart.objects.filter(carrier_message_id=text).values_list("pk", flat=True)


@admin.register(MessageEvent)
class MessageEventAdmin(ReadOnlyAdmin):
    list_defer = ("message__text",)
    sortable_by = ()
    list_display = ["created_at", "message", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["message"]

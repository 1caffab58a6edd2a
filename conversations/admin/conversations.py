"""Conversations and their participants, for staff. Lists show no real number. The page of one is in thread/."""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.admin.blocks import block_url, without_block_links
from conversations.admin.large_tables import FOUND, LargeTable
from conversations.admin.thread.acts import RELEASE, REOPEN
from conversations.admin.thread.page import ActPages, page_context
from conversations.admin.thread.state_badge import badge_of
from conversations.insight.find import find_conversations, newest_of
from conversations.models import Conversation, ConversationEvent, ConversationNote, Participant
from numbers.models import VirtualNumber
from smsproxy.staff.links import linked_if_open
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline
from smsproxy.staff.templatetags.staff import moment


class OnHoldFilter(admin.EmptyFieldListFilter):
    """Conversations that are on hold, or not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("on hold")

    def choices(self, changelist: Any) -> Any:
        for name, choice in zip((_("All"), _("No"), _("Yes")), super().choices(changelist), strict=True):
            yield choice | {"display": name}


class ParticipantInline(ReadOnlyInline):
    model = Participant
    fields = [
        "position",
        "label",
        "real_number",
        "proxy_number",
        "side",
        "one_way",
        "chosen_by",
        "is_replaced",
        "opted_out_at",
        "removed_at",
        "release_at",
        "released_at",
    ]
    readonly_fields = ["is_replaced", "opted_out_at"]

    @admin.display(description=gettext_lazy("replaced"), boolean=True)
    def is_replaced(self, participant: Participant) -> bool:
        return participant.replaced_by_id is not None

    @admin.display(description=gettext_lazy("opted out at"))
    def opted_out_at(self, participant: Participant) -> str:
        # Django formats a value like this in lists only.
        shown: str = display_for_value(participant.real_number.opted_out_at, "-")
        return shown

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Participant]":
        participants: QuerySet[Participant] = super().get_queryset(request)
        return participants.select_related("real_number", "proxy_number")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return linked_if_open(Participant, request, super().get_fields(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)


@admin.register(Conversation)
class ConversationAdmin(LargeTable, ReadOnlyAdmin):
    list_display = ["name", "state_now", "people", "service", "created", "confirmation_failed"]
    # Each has an index. A sort by another column would read the whole table.
    list_filter = ["state", ("held_at", OnHoldFilter), "service"]
    search_fields = ["reference"]
    search_help_text = gettext_lazy(
        "By reference, id or virtual number, or the beginning of one. Find a caller by “Find a caller”, above."
    )
    inlines = [ParticipantInline]
    actions = ["close", "reopen", "hold", "release_hold"]
    readonly_fields = ["public_id", "messages"]
    exclude = ["request_hash", "metadata"]
    change_form_template = "admin/thread/page.html"

    def get_urls(self) -> list[URLPattern]:
        return [*ActPages(self.admin_site).urls, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return linked_if_open(Conversation, request, super().get_fields(request, obj))

    def ids_named(self, text: str) -> Iterable[int]:
        return find_conversations(text, FOUND)

    def ids_of_numbers(self, numbers: Collection[VirtualNumber]) -> Iterable[int]:
        used_by = newest_of(Participant.objects.filter(proxy_number__in=numbers), FOUND)
        return used_by.values_list("conversation_id", flat=True)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Conversation]":
        conversations = Conversation.objects.order_by(*self.get_ordering(request))
        is_list = request.resolver_match is not None and request.resolver_match.url_name == self._list_name
        if not is_list:
            return conversations
        # The list shows labels, and no number.
        labels = Participant.objects.current().only("conversation_id", "position", "label")
        people = Prefetch("participants", labels, to_attr="loaded_participants")
        shown = conversations.with_failed_confirmations().select_related("service").defer("metadata")
        return shown.prefetch_related(people)  # type: ignore[no-redef]  # `with_participants` sets it, too

    @property
    def _list_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_changelist"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        context |= {"title": str(obj), "subtitle": None, "badge": badge_of(obj), **page_context(request, obj)}
        kwargs["obj"] = obj
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("conversation"))
    def name(self, conversation: Conversation) -> str:
        return str(conversation)

    @admin.display(description=gettext_lazy("state"))
    def state_now(self, conversation: Conversation) -> str:
        return badge_of(conversation).html()

    @admin.display(description=gettext_lazy("people"))
    def people(self, conversation: Conversation) -> str:
        people = sorted(conversation.current_participants, key=lambda each: each.position)
        return ", ".join(each.name for each in people) or "–"

    @admin.display(description=gettext_lazy("created"))
    def created(self, conversation: Conversation) -> str:
        return moment(conversation.created_at)

    @admin.display(description=gettext_lazy("confirmations"))
    def confirmation_failed(self, conversation: Conversation) -> str:
        if not getattr(conversation, "notify_failed", False):
            return "–"
        return format_html('<span class="badge bad">✕ {}</span>', _("one failed"))

    @admin.display(description=gettext_lazy("messages"))
    def messages(self, conversation: Conversation) -> str:
        lists = {
            _("messages from its participants"): ("inboundmessage", "participant__conversation__id__exact"),
            _("messages to them"): ("outboundmessage", "conversation__id__exact"),
        }
        links = (
            (f"{reverse(f'admin:conversations_{model}_changelist')}?{field}={conversation.pk}", words)
            for words, (model, field) in lists.items()
        )
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

    @admin.action(
        description=gettext_lazy("Close permanently: no late message reopens it"), permissions=["change_state"]
    )
    def close(self, request: HttpRequest, queryset: "QuerySet[Conversation]") -> None:
        self.apply_with_reason(
            request, queryset, lambda row, reason, actor: row.close_permanently(actor=actor, why=reason)
        )

    @admin.action(
        description=gettext_lazy("Reopen, if its numbers are still cooling down"), permissions=["change_state"]
    )
    def reopen(self, request: HttpRequest, queryset: "QuerySet[Conversation]") -> None:
        self.apply_act(request, queryset, REOPEN)

    @admin.action(description=gettext_lazy("Put on hold"), permissions=["change_state"])
    def hold(self, request: HttpRequest, queryset: "QuerySet[Conversation]") -> None:
        self.apply_with_reason(request, queryset, lambda row, reason, actor: row.hold(reason=reason, actor=actor))

    @admin.action(description=gettext_lazy("Release the hold"), permissions=["change_state"])
    def release_hold(self, request: HttpRequest, queryset: "QuerySet[Conversation]") -> None:
        self.apply_act(request, queryset, RELEASE)


@admin.register(Participant)
class ParticipantAdmin(LargeTable, ReadOnlyAdmin):
    list_defer = ("conversation__metadata",)
    readonly_fields = ["blocks"]
    list_display = ["name", "conversation", "real_number", "proxy_number", "release_at", "released_at"]
    ordering = ["-id"]
    list_filter = [("released_at", admin.EmptyFieldListFilter)]
    list_select_related = ["conversation", "real_number", "proxy_number"]
    search_fields = ["conversation__reference"]
    search_help_text = gettext_lazy("By the conversation's reference or id, or the virtual number.")

    def ids_named(self, text: str) -> Iterable[int]:
        return Participant.objects.filter(conversation__in=find_conversations(text, FOUND)).values_list("pk", flat=True)

    def ids_of_numbers(self, numbers: Collection[VirtualNumber]) -> Iterable[int]:
        used_by = newest_of(Participant.objects.filter(proxy_number__in=numbers), FOUND)
        return used_by.values_list("pk", flat=True)

    @admin.display(description=gettext_lazy("blocks"))
    def blocks(self, participant: Participant) -> str:
        return format_html('<a href="{}">{}</a>', block_url(participant.real_number_id), _("Block this person"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return without_block_links(request, super().get_fields(request, obj))


@admin.register(ConversationEvent)
class ConversationEventAdmin(ReadOnlyAdmin):
    list_defer = ("conversation__metadata",)
    sortable_by = ()
    list_display = ["created_at", "conversation", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["conversation"]


@admin.register(ConversationNote)
class ConversationNoteAdmin(ReadOnlyAdmin):
    """Internal notes. They are written on the page of a conversation, and the list shows no text."""

    list_display = ["created_at", "conversation", "author"]
    list_select_related = ["conversation"]

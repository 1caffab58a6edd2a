"""The use of limits, for staff. A row names its person only by the id."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.models import Conversation, LimitScope, LimitUsage
from conversations.models.limit_usage import messages_pair, notices_pair
from conversations.trust.limits import stored_charge
from smsproxy.database.clock import DatabaseNow
from smsproxy.staff.model_admin import ReadOnlyAdmin, split_numbers
from smsproxy.values import id_in_url

_PERSON = (gettext_lazy("person"), "numbers_realnumber")
_NUMBER = (gettext_lazy("virtual number"), "numbers_virtualnumber")
_SERVICE = (gettext_lazy("service"), "services_service")
# The name and the admin page of the subject. A person where none is given.
_PLACES = {
    LimitScope.CONVERSATION: (gettext_lazy("conversation"), "conversations_conversation"),
    LimitScope.CREATIONS: _SERVICE,
    LimitScope.NEW_PEOPLE: _SERVICE,
    LimitScope.API_MESSAGES: _SERVICE,
}


@admin.register(LimitUsage)
class LimitUsageAdmin(ReadOnlyAdmin):
    list_display = ["scope", "subject", "use", "is_free_at"]
    list_filter = ["scope"]
    sortable_by = ()
    search_fields = ["subject_id"]
    search_help_text = gettext_lazy("By the id of the person, conversation or service.")
    ordering = ["-id"]
    fields = ["scope", "subject", "use", "is_free_at"]
    readonly_fields = ["subject", "use", "is_free_at"]

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[LimitUsage]", search_term: str
    ) -> "tuple[QuerySet[LimitUsage], bool]":
        term = search_term.strip()
        if not term:
            return queryset, False
        subject_id = id_in_url(term)
        if split_numbers(term)[1] or subject_id is None:
            return queryset.none(), False
        # By all scopes: the index begins with the scope.
        return queryset.filter(scope__in=LimitScope.values, subject_id=subject_id), False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[LimitUsage]":
        usages: QuerySet[LimitUsage] = super().get_queryset(request)
        conversation = Conversation.objects.filter(pk=OuterRef("subject_id"))
        return usages.annotate(now=DatabaseNow(), service_of_conversation=Subquery(conversation.values("service_id")))

    @admin.display(description=gettext_lazy("subject"))
    def subject(self, usage: LimitUsage) -> SafeString:
        scope = LimitScope(usage.scope)
        if scope == LimitScope.PERSON:
            service, person = messages_pair(usage.subject_id)
            return format_html(
                _("{person} in {service}"), person=_link(*_PERSON, person), service=_link(*_SERVICE, service)
            )
        if scope != LimitScope.NOTICES:
            return _link(*_PLACES.get(scope, _PERSON), usage.subject_id)
        number, person = notices_pair(usage.subject_id)
        return format_html(_("{number} to {person}"), number=_link(*_NUMBER, number), person=_link(*_PERSON, person))

    @admin.display(description=gettext_lazy("now"))
    def use(self, usage: Any) -> str:
        charge = stored_charge(usage, usage.service_of_conversation)
        wait = charge.wait(usage.short_ready_at, usage.long_ready_at, usage.now.timestamp())
        return _("used up") if wait > 0 else _("within the limit")

    @admin.display(description=gettext_lazy("whole limit is free at"), ordering="long_ready_at")
    def is_free_at(self, usage: LimitUsage) -> datetime:
        return datetime.fromtimestamp(max(usage.short_ready_at, usage.long_ready_at), UTC)


def _link(name: Any, model: str, pk: int) -> SafeString:
    return format_html('<a href="{}">{} {}</a>', reverse(f"admin:{model}_change", args=[pk]), name, pk)

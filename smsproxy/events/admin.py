from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from smsproxy.events.models import FeedEvent
from smsproxy.events.types import EventType
from smsproxy.staff.model_admin import ReadOnlyAdmin


class TypeFilter(admin.SimpleListFilter):
    """The types that there are. Django's own filter would read the whole table for those that occur."""

    title = gettext_lazy("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in EventType.values]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[FeedEvent]") -> "QuerySet[FeedEvent]":
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(FeedEvent)
class FeedEventAdmin(ReadOnlyAdmin):
    """The events that marketplaces read from the feed, newest first."""

    list_display = ["id", "type", "service_id", "conversation_id", "participant", "created_at"]
    list_filter = [TypeFilter]
    ordering = ["-id"]

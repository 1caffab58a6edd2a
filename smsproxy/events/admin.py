from django.contrib import admin

from smsproxy.events.models import FeedEvent
from smsproxy.staff.model_admin import ReadOnlyAdmin


@admin.register(FeedEvent)
class FeedEventAdmin(ReadOnlyAdmin):
    """The events that marketplaces read from the feed, newest first."""

    list_display = ["id", "type", "service_id", "conversation_id", "participant", "created_at"]
    sortable_by = ()
    ordering = ["-id"]

"""The events of virtual numbers and orders for staff."""

from django.contrib import admin

from numbers.models import NumberEvent, OrderEvent
from smsproxy.staff.model_admin import ReadOnlyAdmin


class EventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "old_state", "new_state", "reason", "actor"]
    list_filter = ["new_state", "created_at"]
    date_hierarchy = "created_at"


@admin.register(NumberEvent)
class NumberEventAdmin(EventAdmin):
    list_display = ["created_at", "number", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["number"]
    search_fields = ["number__number"]


@admin.register(OrderEvent)
class OrderEventAdmin(EventAdmin):
    list_display = ["created_at", "order", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["order"]

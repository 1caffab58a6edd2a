"""Admin pages of the simulated network: staff look at it and make it fail. Hidden if the carrier is a real one."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from smsproxy.phone import mask
from smsproxy.staff.model_admin import ReadOnlyAdmin

from .models import DelayedPost, SimulatedFault, SimulatedHandset, SimulatedNumber, SimulatedText


def _is_simulated() -> bool:
    return str(settings.CARRIER) == "simulator"


class SimulatorOnlyAdmin(admin.ModelAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_simulated() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_simulated() and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_simulated() and super().has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_simulated() and super().has_delete_permission(request, obj)


@admin.register(SimulatedHandset)
class SimulatedHandsetAdmin(SimulatorOnlyAdmin, ReadOnlyAdmin):
    list_display = ["id", "name", "masked_number", "created_at"]
    fields = ["name", "masked_number", "created_at"]

    @admin.display(description=gettext_lazy("number"))
    def masked_number(self, handset: SimulatedHandset) -> str:
        return mask(handset.number)


@admin.register(SimulatedNumber)
class SimulatedNumberAdmin(SimulatorOnlyAdmin, ReadOnlyAdmin):
    has_invented_numbers = True
    list_display = ["number", "country", "type", "features", "monthly_cost", "webhook_url"]
    list_filter = ["country", "type"]
    search_fields = ["number"]


@admin.register(SimulatedText)
class SimulatedTextAdmin(SimulatorOnlyAdmin, ReadOnlyAdmin):
    has_invented_numbers = True
    list_display = ["id", "handset", "direction", "virtual_number", "carrier_message_id", "created_at"]
    list_filter = ["direction"]
    list_select_related = ["handset"]
    search_fields = ["virtual_number", "carrier_message_id", "client_ref"]
    # Without the text itself, which only the phones show.
    fields = ["handset", "direction", "virtual_number", "carrier_message_id", "client_ref", "fault", "created_at"]


@admin.register(DelayedPost)
class DelayedPostAdmin(SimulatorOnlyAdmin, ReadOnlyAdmin):
    list_display = ["id", "due_at", "url", "created_at"]
    # Without the body, which has a number and a text.
    fields = ["due_at", "url", "created_at"]


@admin.register(SimulatedFault)
class SimulatedFaultAdmin(SimulatorOnlyAdmin):
    """Faults, which staff add and delete, and which the network counts down."""

    list_display = ["id", "verb", "kind", "remaining"]
    list_filter = ["verb", "kind"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

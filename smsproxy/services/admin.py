from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from smsproxy.services.forms import ServiceForm
from smsproxy.services.models import DEFAULT_SERVICE_ID, LIMITS, Service
from smsproxy.services.text_admin import ServiceTextInline
from smsproxy.staff.model_admin import BaseAdmin


@admin.register(Service)
class ServiceAdmin(BaseAdmin):
    """Services and their texts. A service with keys or conversations cannot be deleted."""

    form = ServiceForm
    list_display = ["name", "pool", "ttl", "geography", "late_messages", "language", "created_at", "links"]
    list_select_related = ["pool"]
    search_fields = ["name"]
    readonly_fields = ["created_at", "links"]
    fieldsets = [
        (None, {"fields": ["name", "links", "created_at"]}),
        (
            _("Defaults of its conversations"),
            {"fields": ["pool", "ttl", "geography", "late_messages", "language"]},
        ),
        (_("Limits"), {"fields": list(LIMITS)}),
    ]
    inlines = [ServiceTextInline]
    # Deleting several at once would check every row that refers to any of them.
    actions = None

    @admin.display(description=_("what it owns"))
    def links(self, service: Service) -> str:
        """Return links to the lists of its keys and conversations, whose rooms are above this one."""
        if service._state.adding:
            return "-"
        lists = {_("keys"): "api_apikey", _("conversations"): "conversations_conversation"}
        addresses = {name: reverse(f"admin:{page}_changelist") for name, page in lists.items()}
        return format_html_join(
            ", ",
            '<a href="{}?service__id__exact={}">{}</a>',
            ((address, service.pk, name) for name, address in addresses.items()),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        is_default = obj is not None and obj.pk == DEFAULT_SERVICE_ID
        return not is_default and super().has_delete_permission(request, obj)

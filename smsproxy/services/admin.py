from django.contrib import admin
from django.http import HttpRequest

from smsproxy.services.models import DEFAULT_SERVICE_ID, Service
from smsproxy.services.text_admin import ServiceTextInline


@admin.register(Service)
class ServiceAdmin(admin.ModelAdmin):
    """Services and their texts. A service with keys or conversations cannot be deleted."""

    list_display = ["name", "pool", "ttl", "geography", "late_messages", "language", "created_at"]
    search_fields = ["name"]
    readonly_fields = ["created_at"]
    inlines = [ServiceTextInline]

    def has_delete_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        is_default = obj is not None and obj.pk == DEFAULT_SERVICE_ID
        return not is_default and super().has_delete_permission(request, obj)

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from smsproxy.api.models import ApiKey, IdempotencyRecord
from smsproxy.staff.admin import ReadOnlyAdmin


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """List and revoke API keys. `manage.py create_api_key` creates a key and prints it once."""

    list_display = ["name", "prefix", "created_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "prefix"]
    fields = ["name", "prefix", "created_at", "revoked_at"]
    actions = ["revoke"]

    @admin.action(description="Revoke", permissions=["change_state"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        def revoke(key: ApiKey, actor: str) -> None:
            key.revoke()
            # A key has no events of its own, so Django's admin log records who revoked it.
            self.log_change(request, key, "Revoked.")

        self.apply_to_each(request, queryset, revoke)


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """The answers that are kept for repeated requests. They may hold real numbers, so they are not shown."""

    list_display = ["id", "service", "key", "status", "location", "created_at"]
    list_filter = ["service", "status"]
    list_select_related = ["service"]
    fields = ["service", "key", "status", "location", "created_at"]

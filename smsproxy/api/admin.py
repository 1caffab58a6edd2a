from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from smsproxy.admin import ReadOnlyAdmin
from smsproxy.api.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys are made with `manage.py create_api_key`, which prints them; here they are seen and revoked."""

    list_display = ["name", "prefix", "created_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "prefix"]
    fields = ["name", "prefix", "created_at", "revoked_at"]
    actions = ["revoke"]

    @admin.action(description="Revoke", permissions=["change_state"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> Any:
        for key in queryset:
            key.revoke()
        self.message_user(request, f"{len(queryset)} revoked.")

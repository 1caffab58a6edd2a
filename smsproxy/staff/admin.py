"""The audit for staff, who can only read it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline
from smsproxy.staff.models import AuditedPerson, AuditEntry, Reveal


class AuditedPersonInline(ReadOnlyInline):
    model = AuditedPerson
    fields = ["person_id"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor", "action", "detail", "object_name", "reason"]
    list_filter = ["action"]
    inlines = [AuditedPersonInline]


@admin.register(Reveal)
class RevealAdmin(ReadOnlyAdmin):
    list_display = ["user", "kind", "object_id", "reason", "until"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user")

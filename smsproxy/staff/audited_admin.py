"""What Django's admin writes to its own log, written to the audit, and HISTORY from our events and the audit."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest

from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction


class Audited(admin.ModelAdmin):
    """Records additions, changes and deletions in the audit. The admin site adds it to the page of every model."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return audit.record(request, AuditAction.ADDED, obj, detail=_in_words(message))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return audit.record(request, AuditAction.CHANGED, obj, detail=_in_words(message))

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        return [audit.record(request, AuditAction.DELETED, row) for row in queryset]


def _in_words(message: Any) -> str:
    """Return the names of the changed fields, as Django words them. It stores them as JSON, or as text of ours."""
    if isinstance(message, str):
        return message
    message = [each for each in message if each != {"added": {}}]  # The action says it.
    return LogEntry(change_message=json.dumps(message)).get_change_message() if message else ""

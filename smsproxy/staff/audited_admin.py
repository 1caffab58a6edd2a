"""What Django's admin writes to its own log, written to the audit, and HISTORY from our events and the audit."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from smsproxy.staff import audit
from smsproxy.staff.history import history_of
from smsproxy.staff.models import AuditAction


class Audited(admin.ModelAdmin):
    """Records additions, changes and deletions in the audit. The admin site adds it to the page of every model."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return audit.record(request, AuditAction.ADDED, obj, detail=_in_words(message))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return audit.record(request, AuditAction.CHANGED, obj, detail=_in_words(message))

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        """Leave it to `delete_queryset`: it knows which rows were still there."""
        return []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_queryset(request, self.model._base_manager.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Delete the rows together with their entries in the audit."""
        with transaction.atomic():
            # In one order, and without those that somebody else has deleted in the meantime.
            chosen = self.model._base_manager.filter(pk__in=[row.pk for row in queryset])
            for row in chosen.select_for_update(of=("self",)).order_by("pk"):
                audit.record(request, AuditAction.DELETED, row)
                row.delete()

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show the events of the object and the audit of it, newest first."""
        row: Any = self.get_object(request, unquote(object_id))
        if row is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.opts, object_id
            )
            return missing
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("History: %(object)s") % {"object": row},
            "module_name": str(capfirst(self.opts.verbose_name_plural)),
            "object": row,
            "object_type": self.opts.label_lower,
            "opts": self.opts,
            "history": history_of(row, with_audit=request.user.has_perm("staff.view_auditentry")),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/history.html", context)


def _in_words(message: Any) -> str:
    """Return the names of the changed fields, without values. message: as Django makes it of a form, or text."""
    if isinstance(message, str):
        return message
    return "; ".join(filter(None, (_change_in_words(verb, each) for part in message for verb, each in part.items())))


def _change_in_words(verb: str, part: Any) -> str:
    """Return the words for the row itself, or for a row of another model that was edited on its page."""
    fields = ", ".join(map(str, part.get("fields", ())))
    return " ".join(filter(None, [f"{verb} {part['name']}", fields])) if "name" in part else fields

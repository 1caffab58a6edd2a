"""The audit for staff, who can only read it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from smsproxy.staff.audit_list import AuditForm, add_links, find, object_url
from smsproxy.staff.model_admin import ReadOnlyAdmin, ReadOnlyInline
from smsproxy.staff.models import AuditedPerson, AuditEntry, Reveal
from smsproxy.staff.rights import require


class AuditedPersonInline(ReadOnlyInline):
    model = AuditedPerson
    fields = ["person_id"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who saw or did what, when and why. The list is a page of our own, without a count."""

    inlines = [AuditedPersonInline]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        require(request, "staff.view_auditentry")
        form = AuditForm(request.GET)
        asked = form.cleaned_data if form.is_valid() else {}
        page = find(asked) if form.is_valid() else None
        if page:
            add_links(page.entries, self.admin_site)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Audit"),
            "form": form,
            "page": page,
            "about": self._about(asked),
            "older": _address(request, "before", page.older if page else None),
            "newer": _address(request, "after", page.newer if page else None),
            "is_filtered": any(value for name, value in asked.items() if name not in ("before", "after")),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/audit.html", context)

    def _about(self, asked: dict[str, Any]) -> dict[str, str] | None:
        """Return the object or the person whose entries are shown: its name and its page."""
        if person := asked.get("person"):
            name = _("person %(id)s") % {"id": person}
            return {"name": name, "url": object_url("numbers.realnumber", str(person), self.admin_site)}
        if (kind := asked.get("type")) and (pk := asked.get("id")):
            newest = AuditEntry.objects.about(kind, pk).order_by("-id").first()
            return {"name": newest.object_name if newest else pk, "url": object_url(kind, pk, self.admin_site)}
        return None


def _address(request: HttpRequest, name: str, entry_id: int | None) -> str:
    """Return the address of the next or the previous page, or "" at the end."""
    if entry_id is None:
        return ""
    kept = {key: value for key, value in request.GET.items() if key not in ("before", "after") and value}
    return "?" + urlencode({**kept, name: entry_id})


@admin.register(AuditedPerson)
class AuditedPersonAdmin(ReadOnlyAdmin):
    """Without a list of its own: the audit shows the people of each entry."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        require(request, "staff.view_auditedperson")
        return HttpResponseRedirect(reverse("admin:staff_auditentry_changelist"))


@admin.register(Reveal)
class RevealAdmin(ReadOnlyAdmin):
    list_display = ["user", "kind", "object_id", "reason", "until"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Reveal]":
        reveals: QuerySet[Reveal] = super().get_queryset(request)
        return reveals.select_related("user")

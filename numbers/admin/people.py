"""People's real numbers for staff, and who of them has opted out."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.admin.events import EventAdmin
from numbers.admin.find_person import FindPersonForm
from numbers.models import PersonEvent, RealNumber
from smsproxy.english import in_english
from smsproxy.logs import has_phone_number
from smsproxy.staff import audit
from smsproxy.staff.covered_admin import CoveredAdmin
from smsproxy.staff.model_admin import ReadOnlyInline
from smsproxy.staff.models import AuditAction, RevealKind
from smsproxy.states import StaleState


class PersonEventInline(ReadOnlyInline):
    model = PersonEvent
    fields = ["created_at", "old_state", "new_state", "reason", "actor"]


class OptInForm(forms.Form):
    reason = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField", "autofocus": True}),
        help_text=gettext_lazy("How the person asked for it, such as “by phone, ticket 4711”. Without phone numbers."),
        error_messages={
            "required": gettext_lazy("Expected the reason, found nothing: it is kept with the person's history.")
        },
    )

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if has_phone_number(reason):
            raise forms.ValidationError(_("Expected a reason without phone numbers: it is kept in the clear."))
        return reason


@admin.register(RealNumber)
class RealNumberAdmin(CoveredAdmin):
    """People's numbers, masked. The form that finds one is posted: a search is a URL, which ends up in logs."""

    needs: ClassVar = {"number": ["numbers.reveal_realnumber"]}

    list_display = ["__str__", "country", "opted_out_at", "line_type", "looked_up_with", "looked_up_at", "created_at"]
    list_filter = [("opted_out_at", admin.EmptyFieldListFilter), "country", "line_type", "looked_up_at"]
    readonly_fields = ["masked", "in_full"]
    ordering = ["-id"]
    inlines = [PersonEventInline]
    change_list_template = "admin/numbers/realnumber/people.html"
    change_form_template = "admin/numbers/realnumber/person.html"

    def get_urls(self) -> list[URLPattern]:
        find = self.admin_site.admin_view(self.find_view)
        end_opt_out = self.admin_site.admin_view(self.end_opt_out_view)
        return [
            path("find/", find, name="numbers_realnumber_find"),
            path("<int:pk>/end-opt-out/", end_opt_out, name="numbers_realnumber_end_opt_out"),
            *super().get_urls(),
        ]

    def reveal_of(self, row: RealNumber) -> tuple[RevealKind, int]:
        return RevealKind.NUMBER, row.pk

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = "in_full" if self._sees(request, obj, "number") else "masked"
        return [shown, "country", "line_type", "looked_up_with", "looked_up_at", "opted_out_at", "created_at"]

    @admin.display(description=gettext_lazy("number"))
    def masked(self, number: RealNumber) -> str:
        return str(number)

    @admin.display(description=gettext_lazy("number"))
    def in_full(self, number: RealNumber) -> str:
        return number.number

    def describe_disclosure(self, request: HttpRequest, row: Any) -> str:
        return in_english(RevealKind.NUMBER.label) if self._sees(request, row, "number") else ""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {"may_end_opt_out": self._may_end_opt_out(request)}
        return super().render_change_form(request, context, *args, **kwargs)

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Find a person by the whole number, and go to their page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = FindPersonForm(request.POST or None)
        if form.is_valid():
            audit.record(request, AuditAction.FOUND, form.person, detail="by number")
            return HttpResponseRedirect(reverse("admin:numbers_realnumber_change", args=[form.person.pk]))
        context = {"title": _("Find a person by number"), "opts": self.opts, "form": form}
        template = "admin/numbers/realnumber/find.html"
        return TemplateResponse(request, template, self.admin_site.each_context(request) | context)

    def end_opt_out_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the reason, and end the person's opt-out."""
        if not self._may_end_opt_out(request):
            raise PermissionDenied
        person = self.get_object(request, str(pk))
        if person is None:
            raise Http404
        form = OptInForm(request.POST or None)
        if form.is_valid():
            return self._end_opt_out(request, person, form.cleaned_data["reason"])
        context = {"title": _("End the opt-out"), "opts": self.opts, "person": person, "form": form}
        template = "admin/numbers/realnumber/end_opt_out.html"
        return TemplateResponse(request, template, self.admin_site.each_context(request) | context)

    def _end_opt_out(self, request: HttpRequest, person: RealNumber, reason: str) -> HttpResponse:
        try:
            with transaction.atomic():
                person.opt_in(reason=f"staff: {reason}", actor=request.user.get_username())
                audit.record(request, AuditAction.DID, person, detail="end_opt_out", reason=reason)
        except StaleState:
            messages.warning(request, _("%(person)s has not opted out. Nothing was changed.") % {"person": person})
        else:
            messages.success(request, _("%(person)s receives messages again.") % {"person": person})
        return HttpResponseRedirect(reverse("admin:numbers_realnumber_change", args=[person.pk]))

    def _may_end_opt_out(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["numbers.view_realnumber", "numbers.end_opt_out"])


@admin.register(PersonEvent)
class PersonEventAdmin(EventAdmin):
    list_display = ["created_at", "person", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["person"]

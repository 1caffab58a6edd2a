"""People's real numbers for staff, and who of them has opted out."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.admin.events import EventAdmin
from numbers.admin.find_person import FindPersonForm, found
from numbers.admin.person_sections import Section, add_section, sections_of
from numbers.models import PersonEvent, RealNumber
from smsproxy.english import in_english
from smsproxy.staff.acts import Act, ActRefused, act_response
from smsproxy.staff.covered_admin import CoveredAdmin
from smsproxy.staff.models import RevealKind
from smsproxy.staff.rights import RightMissing
from smsproxy.states import StaleState

HISTORY = 10
"""The most events of an opt-out on a person's page: the newest."""


def _end_opt_out(person: RealNumber, data: Mapping[str, Any], actor: str) -> str:
    try:
        person.opt_in(reason=f"staff: {data['reason']}", actor=actor)
    except StaleState:
        raise ActRefused(_("%(person)s has not opted out. Nothing was changed.") % {"person": person}) from None
    return _("%(person)s receives messages again.") % {"person": person}


END_OPT_OUT: Act[RealNumber] = Act(
    name="end_opt_out",
    label=gettext_lazy("End the opt-out"),
    question=gettext_lazy("End the opt-out"),
    effect=gettext_lazy(
        "The person gets messages from our numbers again. To send messages to people against their will is illegal in "
        "many countries. End an opt-out only if the person asks for it. They can do it themselves: they text START to "
        "one of our numbers."
    ),
    permission="numbers.end_opt_out",
    do=_end_opt_out,
    is_offered=lambda person: person.opted_out_at is not None,
)


def _opt_out_section(request: HttpRequest, person: RealNumber) -> Section:
    acts = []
    if END_OPT_OUT.is_for(request, person):
        acts = [(END_OPT_OUT.label, reverse("admin:numbers_realnumber_end_opt_out", args=[person.pk]))]
    template = "admin/numbers/realnumber/opt_out.html"
    return Section("opt-out", gettext_lazy("Opt-out"), template, list(person.events.all()[:HISTORY]), acts)


add_section(_opt_out_section)


@admin.register(RealNumber)
class RealNumberAdmin(CoveredAdmin):
    """People's numbers, masked. The form that finds one is posted: a search is a URL, which ends up in logs."""

    needs: ClassVar = {"number": ["numbers.reveal_realnumber"]}

    list_display = ["__str__", "country", "opted_out_at", "line_type", "looked_up_with", "looked_up_at", "created_at"]
    list_filter = [("opted_out_at", admin.EmptyFieldListFilter)]
    sortable_by = ()
    readonly_fields = ["masked", "in_full"]
    ordering = ["-id"]
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
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= {"title": str(obj), "subtitle": None}
            context["number"] = obj.number if self._sees(request, obj, "number") else str(obj)
            context["sections"] = sections_of(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Find a person by the whole number, and go to their page."""
        if not self.has_view_permission(request):
            raise RightMissing("numbers.view_realnumber")
        form = FindPersonForm(request.POST or None)
        people = form.people if form.is_valid() else []
        if url := found(request, people) if people else "":
            return HttpResponseRedirect(url)
        context = {"title": _("Find a caller"), "opts": self.opts, "form": form, "people": people}
        template = "admin/numbers/realnumber/find.html"
        return TemplateResponse(request, template, self.admin_site.each_context(request) | context)

    def end_opt_out_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the reason, and end the person's opt-out."""
        if not self.has_view_permission(request):
            raise RightMissing("numbers.view_realnumber")
        person = self.get_object(request, str(pk))
        if person is None:
            raise Http404
        back = reverse("admin:numbers_realnumber_change", args=[person.pk])
        return act_response(request, END_OPT_OUT, person, site=self.admin_site, back=back)


@admin.register(PersonEvent)
class PersonEventAdmin(EventAdmin):
    list_display = ["created_at", "person", "old_state", "new_state", "reason", "actor"]
    list_select_related = ["person"]

"""Acts of staff on one object: a button, a page that says what it does and asks why, and an entry in the audit."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from smsproxy.phone_spellings import holds_phone_number
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction
from smsproxy.staff.rights import require
from smsproxy.states import StaleState

Row = TypeVar("Row", bound=models.Model)
REASON_LENGTH = 200


class ActRefused(Exception):
    """The act cannot be done. The text tells staff why, and what they can do."""


class ActForm(forms.Form):
    """What an act asks for: the reason, which the audit keeps. A subclass may ask for more."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_LENGTH,
        widget=forms.TextInput({"class": "vTextField", "autocomplete": "off"}),
        help_text=_("Why, such as “ticket 4711”. The audit keeps it. Without phone numbers."),
        error_messages={"required": _("Expected the reason, found nothing: the audit keeps it.")},
    )

    # The reason comes last, after what a subclass asks for.
    def order_fields(self, field_order: Any) -> None:
        super().order_fields(field_order or [*(name for name in self.fields if name != "reason"), "reason"])

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if holds_phone_number(reason):
            raise forms.ValidationError(_("Expected a reason without phone numbers: it is kept in the clear."))
        return reason


class Partly(str):
    """What was done of an act, and what is left to do, as sentences. Shown as a warning."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Act(Generic[Row]):
    """Something that staff do to a row.

    name: its slug, in the URL and in the audit. label: on the button. question: the title of the page that asks.
    effect: what will happen, in one or two sentences. do: does it for (row, cleaned data, user name) and returns what
    was done, as a sentence, or Partly; raises ActRefused or StaleState if nothing was. is_offered: whether the state of
    the row allows it.
    is_atomic: False if no transaction may do it, because it calls the carrier or changes many rows one by one. Then an
    entry that it has begun is written first, and a second one with its outcome.
    template: of the page that asks. It extends "admin/act.html".
    """

    name: str
    label: Any
    question: Any
    effect: Any
    permission: str
    do: Callable[[Row, Mapping[str, Any], str], Any]
    form: type[ActForm] = ActForm
    is_dangerous: bool = False
    is_atomic: bool = True
    is_offered: Callable[[Row], bool] = lambda row: True
    template: str = "admin/act.html"

    def is_for(self, request: HttpRequest, row: Row) -> bool:
        """Return whether to show its button to this user."""
        return request.user.has_perm(self.permission) and self.is_offered(row)


def act_response(
    request: HttpRequest,
    act: Act[Row],
    row: Row,
    *,
    site: AdminSite,
    back: str,
    context: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None = None,
    parent: tuple[str, str] | None = None,
    name: str = "",
) -> HttpResponse:
    """Return the page that asks (GET), or do the act (POST) and redirect to `back`. Raises RightMissing.

    context: for the template of an act that shows more than its effect, or a function of the form that returns it.
    parent: label and address of the page above that of the row. name: of the page that it returns to, if not the row's.
    """
    require(request, act.permission)
    form = act.form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        _do(request, act, row, form.cleaned_data)
        return HttpResponseRedirect(back)
    more = context(form) if callable(context) else context or {}
    above = {"object": name or row, "parent": dict(zip(("label", "url"), parent, strict=True)) if parent else None}
    shown = {"title": act.question, "act": act, **above, "form": form, "back": back, **more}
    return TemplateResponse(request, act.template, {**site.each_context(request), **shown})


def perform(request: HttpRequest, act: Act[Row], row: Row, data: Mapping[str, Any]) -> Any:
    """Do the act with its entries in the audit, and return what was done. Raises ActRefused or StaleState."""

    def note(outcome: str = "") -> None:
        detail = f"{act.name}{outcome}"
        audit.record(request, AuditAction.DID, row, detail=detail, reason=data.get("reason", ""))

    if not act.is_atomic:
        note(", begun")
    try:
        with transaction.atomic() if act.is_atomic else nullcontext():
            told = act.do(row, data, request.user.get_username())
            note(", partly" if isinstance(told, Partly) else "")
    except (ActRefused, StaleState):
        if not act.is_atomic:
            note(", which was refused")
        raise
    return told


def _do(request: HttpRequest, act: Act[Row], row: Row, data: Mapping[str, Any]) -> None:
    try:
        told = perform(request, act, row, data)
    except (ActRefused, StaleState) as error:
        changed = _("Nothing was done: somebody changed it in the meantime. Look at it again.")
        messages.error(request, str(error) if isinstance(error, ActRefused) else changed)
    else:
        tell = messages.warning if isinstance(told, Partly) else messages.success
        tell(request, told)

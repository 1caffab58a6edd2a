"""The page that asks why something is to be uncovered, and the button that covers it again.

The rooms above register what can be uncovered: see `register`. A page shows `{% reveal_button kind object_id %}` of the
template tags `staff`, and asks `reveal.active_reveal` before it shows anything.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from smsproxy.staff.acts import ActForm
from smsproxy.staff.back import back_to
from smsproxy.staff.models import RevealKind
from smsproxy.staff.reveal import REVEALED_FOR, hide, reveal
from smsproxy.staff.rights import require

MINUTES = int(REVEALED_FOR.total_seconds()) // 60

QUESTIONS = {
    RevealKind.NUMBER: gettext_lazy("Show the number in full"),
    RevealKind.TEXTS: gettext_lazy("Show the texts"),
    RevealKind.STRANGER_TEXT: gettext_lazy("Show the text"),
}


@dataclass(frozen=True, kw_only=True)
class Revealable:
    """What a kind of reveal uncovers.

    permission: who may uncover it. The people whom it concerns are those of its row: see concerned.py.
    """

    model: type[models.Model]
    permission: str


_REVEALABLE: dict[RevealKind, Revealable] = {}


def register(kind: RevealKind, model: type[models.Model], permission: str) -> None:
    """Let staff with this permission uncover objects of this model."""
    _REVEALABLE[kind] = Revealable(model=model, permission=permission)


def may_reveal(request: HttpRequest, kind: RevealKind) -> bool:
    """Return whether the user may uncover objects of this kind."""
    return kind in _REVEALABLE and request.user.has_perm(_REVEALABLE[kind].permission)


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the two addresses: admin:reveal and admin:hide, of a kind and an object's id, with `?next=`."""
    return [
        path("reveal/<str:kind>/<int:object_id>/", site.admin_view(partial(_reveal_view, site)), name="reveal"),
        path("hide/<str:kind>/<int:object_id>/", site.admin_view(require_POST(_hide_view)), name="hide"),
    ]


def _reveal_view(site: AdminSite, request: HttpRequest, kind: str, object_id: int) -> HttpResponse:
    """Ask for the reason, and uncover the object for some minutes."""
    known, what = _known(kind)
    require(request, what.permission)
    row = what.model._default_manager.filter(pk=object_id).first()
    if row is None:
        raise Http404
    back = _back(request, what, object_id)
    form = ActForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        reveal(request, known, row, reason=form.cleaned_data["reason"])
        messages.success(request, _("Shown to you for %(minutes)d minutes. The audit keeps it.") % {"minutes": MINUTES})
        return HttpResponseRedirect(back)
    effect = _("Only you see it, for %(minutes)d minutes. The audit keeps that you saw it, and why.")
    question = QUESTIONS[known]
    act = {"label": question, "effect": effect % {"minutes": MINUTES}, "is_dangerous": False}
    context = {"title": question, "act": act, "object": row, "form": form, "back": back}
    return TemplateResponse(request, "admin/act.html", {**site.each_context(request), **context})


def _hide_view(request: HttpRequest, kind: str, object_id: int) -> HttpResponse:
    """Cover the object again."""
    known, what = _known(kind)
    hide(request, known, object_id)
    messages.success(request, _("Hidden again."))
    return HttpResponseRedirect(_back(request, what, object_id))


def _known(kind: str) -> tuple[RevealKind, Revealable]:
    if kind not in RevealKind.values or RevealKind(kind) not in _REVEALABLE:
        raise Http404
    return RevealKind(kind), _REVEALABLE[RevealKind(kind)]


def _back(request: HttpRequest, what: Revealable, object_id: int) -> str:
    """Return the address in `?next=`, by default the object's own page."""
    meta = what.model._meta
    return back_to(request, reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[object_id]))


def button_context(request: HttpRequest, kind: str, object_id: int, shown: Any, back: str) -> dict[str, Any]:
    """Return what "admin/reveal_button.html" shows. shown: the active reveal, or None."""
    known = RevealKind(kind)
    return {
        "kind": known.value,
        "object_id": object_id,
        "question": QUESTIONS[known],
        "may_reveal": may_reveal(request, known),
        "permission": _REVEALABLE[known].permission if known in _REVEALABLE else "",
        "shown": shown,
        "back": back,
    }

"""The pages on which staff set up, change and remove their own second factor."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_otp import login as note_second_factor

from smsproxy.sign_in import second_factor
from smsproxy.sign_in.forms import AppCodeForm, FirstSetUpForm, PasswordForm
from smsproxy.sign_in.qr_code import QrCode
from smsproxy.sign_in.sessions import end_sessions
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction

_KEY = "second_factor_key"
_MAY_REPLACE = "second_factor_replaced_at"
REPLACE_WITHIN = 600
"""Seconds between the password and the code of another app."""


class Change(NamedTuple):
    """A change of the second factor that asks for the password."""

    title: Any
    effect: Any
    button: Any
    make: Callable[[HttpRequest, AdminSite], HttpResponse]


def overview(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return whether the second factor is set up, and the buttons."""
    context = {
        "title": _("Second factor"),
        "device": second_factor.device_of(request.user),
        "codes_left": second_factor.codes_left(request.user),
        "is_required": settings.STAFF_TWO_FACTOR == "required",
    }
    return _page(request, site, "second_factor", context)


def set_up(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return the QR code, or check the first code of the app and return the recovery codes, which are shown once."""
    is_change = second_factor.device_of(request.user) is not None
    if is_change and time.time() - request.session.get(_MAY_REPLACE, 0) > REPLACE_WITHIN:
        return HttpResponseRedirect(reverse("admin:second_factor"))
    key = request.session.setdefault(_KEY, second_factor.new_key())
    data = request.POST if request.method == "POST" else None
    # A change has asked for the password already.
    form = AppCodeForm(data) if is_change else FirstSetUpForm(request, data)
    if form.is_valid():
        with transaction.atomic():
            codes = second_factor.set_up(request.user, key, form.cleaned_data["code"].replace(" ", ""))
            if codes is not None:
                audit.record(request, AuditAction.DID, detail="set up the second factor")
        if codes is not None:
            _begin_with_second_factor(request)
            return _show_codes(request, site, codes)
        form.add_error("code", _("The code is wrong. Wait for the next one. Is the clock of your phone right?"))
    context = {
        "title": _("Set up the second factor"),
        "form": form,
        "key": second_factor.readable_key(key),
        "qr": QrCode.of(second_factor.config_url(request.user, key)),
        "is_required": settings.STAFF_TWO_FACTOR == "required" and not is_change,
    }
    return _page(request, site, "set_up", context)


def change(request: HttpRequest, site: AdminSite, name: str) -> HttpResponse:
    """Return the page that asks for the password, or make the change."""
    if name not in CHANGES:
        raise Http404
    if second_factor.device_of(request.user) is None:
        return HttpResponseRedirect(reverse("admin:second_factor"))
    chosen = CHANGES[name]
    form = PasswordForm(request, request.POST if request.method == "POST" else None)
    if form.is_valid():
        return chosen.make(request, site)
    return _page(request, site, "change", {"title": chosen.title, "change": chosen, "name": name, "form": form})


def _renew(request: HttpRequest, site: AdminSite) -> HttpResponse:
    with transaction.atomic():
        codes = second_factor.renew_codes(request.user)
        audit.record(request, AuditAction.DID, detail="made new recovery codes")
    return _show_codes(request, site, codes)


def _replace(request: HttpRequest, site: AdminSite) -> HttpResponse:
    request.session[_MAY_REPLACE] = int(time.time())
    request.session.pop(_KEY, None)
    return HttpResponseRedirect(reverse("admin:second_factor_set_up"))


def _remove(request: HttpRequest, site: AdminSite) -> HttpResponse:
    if settings.STAFF_TWO_FACTOR == "required":
        messages.error(request, _("Nothing was removed: each account needs a second factor. Use another app instead."))
    else:
        with transaction.atomic():
            second_factor.remove(request.user)
            audit.record(request, AuditAction.DID, detail="removed the own second factor")
        messages.success(request, _("The second factor is removed. Your password alone signs you in."))
    return HttpResponseRedirect(reverse("admin:second_factor"))


CHANGES = {
    "renew": Change(
        gettext_lazy("New recovery codes"),
        gettext_lazy("You get ten new codes. Those that you have now work no longer."),
        gettext_lazy("Make new codes"),
        _renew,
    ),
    "replace": Change(
        gettext_lazy("Use another app"),
        gettext_lazy("You set up the app on another phone. The app that you use now works until then."),
        gettext_lazy("Continue"),
        _replace,
    ),
    "remove": Change(
        gettext_lazy("Remove the second factor"),
        gettext_lazy("Then your password alone signs you in. Anybody who learns it has your rights."),
        gettext_lazy("Remove it"),
        _remove,
    ),
}


def _begin_with_second_factor(request: HttpRequest) -> None:
    """Note in the session that it has the second factor. End the user's others: they have none, or that of before."""
    for name in (_KEY, _MAY_REPLACE):
        request.session.pop(name, None)
    request.session.cycle_key()
    note_second_factor(request, second_factor.device_of(request.user))
    end_sessions(request.user, but=request.session.session_key)


def _show_codes(request: HttpRequest, site: AdminSite, codes: list[str]) -> HttpResponse:
    return _page(request, site, "recovery_codes", {"title": _("Keep these recovery codes"), "codes": codes})


def _page(request: HttpRequest, site: AdminSite, name: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, f"admin/sign_in/{name}.html", {**site.each_context(request), **context})

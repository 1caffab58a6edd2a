"""Middleware of the admin: ends sessions, and demands the second factor where it is required."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from smsproxy.sign_in import second_factor
from smsproxy.sign_in.sessions import Ended, note_page
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction

Respond = Callable[[HttpRequest], HttpResponseBase]

ADMIN = "/admin/"
REFRESH = "X-Refresh"
"""The header of requests that a script of a page makes by itself. They keep no session alive."""
# What staff can open before they have set up a required second factor.
_OPEN = ("login", "logout", "login_code", "language", "jsi18n", "second_factor_set_up")
_WHY = {Ended.IDLE: "after idle minutes", Ended.TOO_LONG: "after the longest time of a session"}


def staff_sessions(get_response: Respond) -> Respond:
    """Middleware: end sessions that are over, and demand the second factor where it is required."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(ADMIN):
            return get_response(request)
        user: Any = request.user  # OTPMiddleware has added is_verified.
        if not user.is_authenticated:
            return get_response(request)
        if why := note_page(request.session, by_person=REFRESH not in request.headers):
            return _end(request, why)
        if settings.STAFF_TWO_FACTOR == "required" and not user.is_verified():
            return _demand_second_factor(request) or get_response(request)
        return get_response(request)

    return respond


def login_url(request: HttpRequest, why: Ended) -> str:
    """Return the address of the sign-in, which says why, and leads back to the page that was asked for."""
    query = {"ended": str(why)}
    if request.method == "GET" and not request.path.startswith(reverse("admin:login")):
        query["next"] = request.get_full_path()
    return f"{reverse('admin:login')}?{urlencode(query)}"


def _end(request: HttpRequest, why: Ended) -> HttpResponseRedirect:
    audit.record(request, AuditAction.SIGNED_OUT, detail=_WHY[why])
    url = login_url(request, why)
    logout(request)
    return HttpResponseRedirect(url)


def _demand_second_factor(request: HttpRequest) -> HttpResponseRedirect | None:
    """Return a redirect to the page that sets it up, or None for the pages that are open before."""
    if second_factor.device_of(request.user):
        audit.record(request, AuditAction.SIGNED_OUT, detail="a session without the second factor")
        url = login_url(request, Ended.UNVERIFIED)
        logout(request)
        return HttpResponseRedirect(url)
    if request.path in {reverse(f"admin:{name}") for name in _OPEN}:
        return None
    return HttpResponseRedirect(reverse("admin:second_factor_set_up"))

"""Error pages. Those of the admin are in its own frame, all others are of the API or plain."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import REASON_NO_CSRF_COOKIE, REASON_NO_REFERER
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views import csrf, defaults

from smsproxy.api import problems
from smsproxy.cockpit.refusals import Right, missing_rights
from smsproxy.sign_in.middleware import ADMIN
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the page that says which right is missing and who can grant it, and record the refusal."""
    if not _is_in_frame(request):
        return defaults.permission_denied(request, exception)
    rights = missing_rights(request, exception)
    audit.record(request, AuditAction.REFUSED, detail=_told(request, rights))
    # A text that was not made from a right is for staff.
    says = "" if rights or not isinstance(exception, PermissionDenied) else str(exception)
    context = {"title": _("You may not do this"), "rights": rights, "says": says}
    return _in_frame(request, "refused", 403, context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the page for an address that does not exist. Outside of the admin it is a problem of the API."""
    if not _is_in_frame(request):
        return problems.not_found(request, exception)
    return _in_frame(request, "not_found", 404, {"title": _("Nothing is here")})


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the page for a form whose token does not match: most likely it was open during another sign-in."""
    if not request.path_info.startswith(ADMIN) or not hasattr(request, "user"):
        return csrf.csrf_failure(request, reason)
    context = {
        "title": _("The form is too old"),
        "no_cookie": reason in (REASON_NO_CSRF_COOKIE, REASON_NO_REFERER),
    }
    return _in_frame(request, "csrf_failed", 403, context)


def _is_in_frame(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return request.path_info.startswith(ADMIN) and user is not None and user.is_authenticated and user.is_staff


def _in_frame(request: HttpRequest, name: str, status: int, context: dict[str, Any]) -> HttpResponse:
    context = {**admin.site.each_context(request), **context}
    response = render(request, f"admin/errors/{name}.html", context, status=status)
    add_never_cache_headers(response)  # The frame names the user and what waits.
    return response


def _told(request: HttpRequest, rights: list[Right]) -> str:
    """Return the missing rights, the page and the id in its address."""
    page = request.resolver_match
    ids = " ".join(str(each) for each in page.kwargs.values()) if page else ""
    return f"{' or '.join(right.codename for right in rights)} for {page.url_name if page else ''} {ids}".strip()

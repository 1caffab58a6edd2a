"""The lock after several wrong passwords. django-axes counts them and calls these functions."""

import ipaddress
from datetime import datetime
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

# The letters of a hash: none of them is a digit, so no log or audit takes it for a phone number.
_LETTERS = "abcdefghkmnpqrst"


def name_to_keep(typed: str) -> str:
    """Return the user name that was typed, or "unknown-" and a hash if no user has it.

    People type a password or a phone number there by mistake. The same mistake has the same hash.
    """
    if typed and "\0" not in typed and get_user_model().objects.filter(username=typed).exists():
        return typed
    digest = salted_hmac("smsproxy.sign_in.name", typed, algorithm="sha256").digest()
    return "unknown-" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:8])


def stored_name(request: Any, credentials: dict[str, Any] | None) -> str:
    """Return the name by which the wrong passwords of this request are counted."""
    typed = str((credentials or {}).get("username") or request.POST.get("username", ""))
    known: dict[str, str] = request.__dict__.setdefault("_names_to_keep", {})
    if typed not in known:
        known[typed] = name_to_keep(typed)
    return known[typed]


def client_address(request: Any) -> str | None:
    """Return the address of the caller: behind a proxy, the one that the proxy has added last.

    Of an IPv6 address, the network of 64 bits: a caller has all addresses of it.
    """
    direct = request.META.get("REMOTE_ADDR") or None
    last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() if settings.BEHIND_TLS_PROXY else ""
    return _counted(last) or _counted(direct or "") or direct


def _counted(address: str) -> str:
    """Return what stands for this address in the count of wrong passwords, or "" if it is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


def logged_client(*args: Any) -> str:
    """Return what the log says of a caller: nothing. The audit names users, and addresses are personal data."""
    return "somebody"


def locked_until(request: Any, name: str) -> datetime | None:
    """Return when the lock of this name at this address ends."""
    attempts = AccessAttempt.objects.filter(username=name, ip_address=client_address(request))
    last: datetime | None = attempts.aggregate(last=Max("attempt_time"))["last"]
    return last + settings.AXES_COOLOFF_TIME if last else None


def has_failed(user: Any) -> bool:
    """Return whether wrong passwords of this user are counted, at any address."""
    return bool(AccessAttempt.objects.filter(username=user.get_username()).exists())


def unlock(user: Any) -> bool:
    """Forget the wrong passwords of this user at all addresses. Return False if there were none."""
    forgotten, _ = AccessAttempt.objects.filter(username=user.get_username()).delete()
    return bool(forgotten)


def locked_page(request: HttpRequest, response: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """Return the page that says until when the sign-in is locked. It says the same for names that do not exist."""
    context = {
        **admin.site.each_context(request),
        "title": _("Sign-in is locked"),
        "until": locked_until(request, stored_name(request, credentials)),
        "limit": settings.AXES_FAILURE_LIMIT,
    }
    return render(request, "admin/sign_in/locked.html", context, status=settings.AXES_HTTP_RESPONSE_CODE)

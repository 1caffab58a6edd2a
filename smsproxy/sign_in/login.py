"""Sign in and out: the password first, then the code of the second factor. A session is signed in after both."""

import time
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.contrib.auth import login as begin_session
from django.contrib.auth import logout as end_session
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django_otp import login as note_second_factor

from smsproxy.sign_in import second_factor
from smsproxy.sign_in.forms import AppCodeForm, RecoveryCodeForm, SignInForm
from smsproxy.sign_in.lockout import name_to_keep
from smsproxy.sign_in.records import record_failure
from smsproxy.sign_in.sessions import Ended
from smsproxy.staff import audit
from smsproxy.staff.back import back_to
from smsproxy.staff.models import AuditAction

# Where the session keeps who has typed the password, until the code is typed.
_PENDING = "sign_in_pending"
CODE_WITHIN = 300
"""Seconds between the password and the code."""
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def sign_in(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return the page of the sign-in, or check user name and password."""
    after = _after(request)
    if request.method == "GET" and site.has_permission(request):
        return HttpResponseRedirect(after)
    form = SignInForm(request, data=request.POST if request.method == "POST" else None)
    if form.is_valid():
        user = form.get_user()
        if second_factor.device_of(user):
            _ask_for_code(request, user, after)
            return HttpResponseRedirect(reverse("admin:login_code"))
        return _signed_in(request, user, after)
    if form.is_bound and form.is_refused:
        _record_refusal(request, form)
    context = {"title": _("Sign in"), "form": form, "next": after, "ended": _sentence(request.GET.get("ended", ""))}
    status = 429 if form.is_busy else 200
    return TemplateResponse(
        request, "admin/sign_in/login.html", {**site.each_context(request), **context}, status=status
    )


def enter_code(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Return the page of the second step, or check the code. ?recovery=1: a recovery code."""
    user = _pending_user(request)
    if user is None:
        return HttpResponseRedirect(f"{reverse('admin:login')}?ended={Ended.LATE}")
    is_recovery = "recovery" in request.GET
    form = (RecoveryCodeForm if is_recovery else AppCodeForm)(request.POST if request.method == "POST" else None)
    if form.is_valid():
        # People type one into the field of the app, too.
        is_recovery_code = is_recovery or second_factor.looks_like_recovery_code(form.cleaned_data["code"])
        check = second_factor.use_recovery_code if is_recovery_code else second_factor.check_app_code
        try:
            if check(user, form.cleaned_data["code"]):
                return _signed_in(request, user, request.session[_PENDING]["next"], is_recovery=is_recovery_code)
        except second_factor.TooManyWrongCodes as error:
            form.add_error(
                "code", _("Too many wrong codes. Wait %(n)s seconds, then try again.") % {"n": error.seconds}
            )
        else:
            form.add_error("code", _wrong_code(is_recovery_code))
            record_failure(user.get_username(), "wrong recovery code" if is_recovery_code else "wrong code")
    context = {"title": _("Second step"), "form": form, "is_recovery": is_recovery}
    return TemplateResponse(request, "admin/sign_in/code.html", {**site.each_context(request), **context})


def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session, record it, and show the sign-in."""
    if request.user.is_authenticated:
        audit.record(request, AuditAction.SIGNED_OUT)
    end_session(request)
    return HttpResponseRedirect(f"{reverse('admin:login')}?ended={Ended.SIGNED_OUT}")


def _signed_in(request: HttpRequest, user: Any, after: str, *, is_recovery: bool = False) -> HttpResponse:
    """Begin a session with a new key, and record how it began."""
    begin_session(request, user, backend=_BACKEND)
    request.session.pop(_PENDING, None)
    detail = ""
    if device := second_factor.device_of(user):
        note_second_factor(request, device)
        detail = "with the second factor"
    if is_recovery:
        detail = f"with a recovery code, {second_factor.codes_left(user)} left"
    audit.record(request, AuditAction.SIGNED_IN, detail=detail)
    return HttpResponseRedirect(after)


def _record_refusal(request: HttpRequest, form: SignInForm) -> None:
    """Record why. While the sign-in is locked, nothing is recorded: anybody could fill the audit."""
    name = name_to_keep(str(form.cleaned_data.get("username", "")))
    if form.user_cache is not None:
        record_failure(name, "not staff")
        return
    is_locked = getattr(request, "axes_locked_out", False)
    if is_locked and getattr(request, "axes_failures_since_start", None) is None:
        return
    detail = "unknown user name" if name.startswith("unknown-") else "wrong password"
    record_failure(name, f"{detail}, locked" if is_locked else detail)


def _ask_for_code(request: HttpRequest, user: Any, after: str) -> None:
    request.session.flush()  # It may hold data of somebody else.
    request.session[_PENDING] = {
        "user": user.pk,
        "password": user.get_session_auth_hash(),
        "at": int(time.time()),
        "next": after,
    }


def _pending_user(request: HttpRequest) -> Any | None:
    """Return who has typed the right password in this session a short time ago, or None."""
    pending = request.session.get(_PENDING)
    if not pending or time.time() - pending["at"] > CODE_WITHIN:
        return None
    user = get_user_model().objects.filter(pk=pending["user"], is_active=True, is_staff=True).first()
    is_same = user is not None and constant_time_compare(pending["password"], user.get_session_auth_hash())
    return user if is_same else None


def _after(request: HttpRequest) -> str:
    """Return the page to show after the sign-in: `next` if it is one of ours, or the first page."""
    return back_to(request, reverse("admin:index"))


def _wrong_code(is_recovery: bool) -> str:
    if is_recovery:
        return _("No such code is left. Each works only once. Type another one.")
    return _("The code is wrong, or was used already. Wait for the next one. Is the clock of your phone right?")


def _sentence(ended: str) -> str:
    sentences: dict[str, str] = {
        Ended.TOO_LONG: _("Your session is over: it was as old as sessions may become. Sign in again."),
        Ended.IDLE: _("Your session is over, because you asked for no page for a while. Sign in again."),
        Ended.SIGNED_OUT: _("You are signed out."),
        Ended.LATE: _("The second step took too long. Begin again with your password."),
        Ended.UNVERIFIED: _("Sign in again: your account has a second factor now."),
    }
    return sentences.get(ended, "")

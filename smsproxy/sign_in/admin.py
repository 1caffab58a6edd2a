"""Users with their second factor, which an administrator can remove. The secrets of the apps are on no page."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from smsproxy.sign_in import lockout, second_factor
from smsproxy.sign_in.sessions import end_sessions
from smsproxy.staff.acts import Act, ActRefused, act_response

for model in (TOTPDevice, StaticDevice, User):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


def _remove(user: User, data: Mapping[str, Any], actor: str) -> str:
    if not second_factor.remove(user):
        raise ActRefused(_("Nothing was removed: the user has no second factor."))
    end_sessions(user)
    return _("The second factor of %(user)s is removed, and their sessions are ended.") % {"user": user}


REMOVE_SECOND_FACTOR = Act(
    name="remove_second_factor",
    label=gettext_lazy("Remove the second factor"),
    question=gettext_lazy("Remove the second factor of this user?"),
    effect=gettext_lazy(
        "The app and the recovery codes of the user work no longer, and the user is signed out everywhere. Then the "
        "password alone signs them in. Make sure that the user asks for it: call them."
    ),
    permission="otp_totp.delete_totpdevice",
    do=_remove,
    is_dangerous=True,
    is_offered=lambda user: second_factor.device_of(user) is not None,
)


def _unlock(user: User, data: Mapping[str, Any], actor: str) -> str:
    if not lockout.unlock(user):
        raise ActRefused(_("Nothing was done: no wrong password of this user is counted."))
    return _("%(user)s can sign in again: the wrong passwords are forgotten.") % {"user": user}


UNLOCK = Act(
    name="unlock",
    label=gettext_lazy("Unlock the sign-in"),
    question=gettext_lazy("Unlock the sign-in of this user?"),
    effect=gettext_lazy(
        "The wrong passwords of the user are forgotten, and a lock ends at once. The password stays the same. Make "
        "sure that the user asks for it: somebody else may be guessing their password."
    ),
    permission="auth.change_user",
    do=_unlock,
    is_offered=lockout.has_failed,
)
# The acts on a user, and their URLs.
_ACTS = {"auth_user_remove_second_factor": REMOVE_SECOND_FACTOR, "auth_user_unlock": UNLOCK}


def _may_touch(request: HttpRequest, user: Any) -> bool:
    """Return whether the user of the request may change this user, if their rights allow it. user: None for any."""
    return request.user.is_superuser or not getattr(user, "is_superuser", False)


@admin.register(User)
class StaffUserAdmin(UserAdmin):
    list_display = ["username", "first_name", "last_name", "is_staff", "is_active", "second_factor", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active", "groups"]
    change_form_template = "admin/sign_in/user.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        devices = TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)
        return super().get_queryset(request).annotate(has_second_factor=Exists(devices))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        show: Callable[..., HttpResponse] = super().add_view
        try:
            return show(request, form_url, extra_context)
        except IntegrityError:  # Somebody has just taken the name: now the form says so.
            return show(request, form_url, extra_context)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():  # With its entry in the audit.
            answer: HttpResponse = super().user_change_password(request, id, form_url)
        return answer

    @admin.display(description=gettext_lazy("second factor"), boolean=True)
    def second_factor(self, user: Any) -> bool:
        return bool(user.has_second_factor)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Let nobody but superusers give rights: others could give themselves all of them."""
        rights = [] if request.user.is_superuser else ["is_superuser", "groups", "user_permissions"]
        return [*super().get_readonly_fields(request, obj), *rights]

    def get_urls(self) -> list[Any]:
        remove, unlock = map(self.admin_site.admin_view, (self.remove_second_factor, self.unlock))
        own: list[URLPattern] = [
            path("<int:pk>/remove-second-factor/", remove, name="auth_user_remove_second_factor"),
            path("<int:pk>/unlock/", unlock, name="auth_user_unlock"),
        ]
        return [*own, *super().get_urls()]

    def remove_second_factor(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        if not _may_touch(request, user):
            raise PermissionDenied(_("Only a superuser removes the second factor of a superuser. Ask one."))
        return self._act_response(request, REMOVE_SECOND_FACTOR, user)

    def unlock(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        if not _may_touch(request, user):
            raise PermissionDenied(_("Only a superuser unlocks a superuser. Ask one."))
        return self._act_response(request, UNLOCK, user)

    def _act_response(self, request: HttpRequest, act: Act[User], user: User) -> HttpResponse:
        back = reverse("admin:auth_user_change", args=[user.pk])
        return act_response(request, act, user, site=self.admin_site, back=back)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        user = context.get("original")
        context["acts"] = [
            {"label": act.label, "url": reverse(f"admin:{name}", args=[user.pk])}
            for name, act in _ACTS.items()
            if user and act.is_for(request, user)
        ]
        return super().render_change_form(request, context, *args, **options)

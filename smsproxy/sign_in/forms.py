"""Forms of the sign-in and of the second factor."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth import authenticate
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from smsproxy.sign_in.password_turn import BUSY, password_turn


class SignInForm(AdminAuthenticationForm):
    """User name and password. It does not say which of them was wrong."""

    error_messages = {
        "invalid_login": _("The user name or the password is wrong. Upper and lower case matter. Try again."),
        "inactive": _("The user name or the password is wrong. Upper and lower case matter. Try again."),
    }

    def clean(self) -> Any:
        with password_turn():
            return super().clean()

    @property
    def is_busy(self) -> bool:
        """Return whether the password was not looked at, because too many others are checked."""
        return self.has_error(NON_FIELD_ERRORS, BUSY)

    @property
    def is_refused(self) -> bool:
        """Return whether name and password were typed and are wrong, or not those of staff."""
        return bool(self.non_field_errors()) and not self.is_busy


class AppCodeForm(forms.Form):
    """The six digits of an authenticator app."""

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=forms.TextInput({"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
        help_text=_("The six digits that your authenticator app shows now."),
    )


class RecoveryCodeForm(forms.Form):
    """One of the recovery codes."""

    code = forms.CharField(
        label=_("Recovery code"),
        max_length=40,
        widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "none", "autofocus": True}),
        help_text=_("One of the ten codes that you kept when you set up the second factor. Each works once."),
    )


class PasswordForm(forms.Form):
    """The password of the user who is signed in. Wrong ones count for the lockout."""

    password = forms.CharField(
        label=_("Your password"),
        widget=forms.PasswordInput({"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data)
        self._request = request

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not _is_own_password(self._request, password):
            raise forms.ValidationError(_("The password is wrong. Try again."))
        return password


class FirstSetUpForm(PasswordForm, AppCodeForm):
    """Both: a session that somebody else got hold of must not get a second factor of theirs."""

    field_order = ("password", "code")


class OwnPasswordForm(AdminPasswordChangeForm):
    """Django's form to change the own password. Wrong old passwords count for the lockout."""

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        super().__init__(*args, **options)
        self._request = request

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        if not _is_own_password(self._request, password):
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return password


def _is_own_password(request: HttpRequest, password: str) -> bool:
    """Return whether it is the password of the user who is signed in. If it is wrong, it counts for the lockout.

    Raises ValidationError if too many other passwords are checked.
    """
    with password_turn():
        user = authenticate(request, username=request.user.get_username(), password=password)
    return user is not None and user.pk == request.user.pk

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import pre_save
from django.utils.translation import gettext_lazy as _


class SignInConfig(AppConfig):
    name = "smsproxy.sign_in"
    label = "sign_in"
    verbose_name = _("Sign-in")

    def ready(self) -> None:
        user_logged_in.connect(_begin, dispatch_uid="smsproxy.sign_in")
        pre_save.connect(_keep_no_request, sender="axes.AccessAttempt", dispatch_uid="smsproxy.sign_in")


def _begin(sender: Any, request: Any, **kwargs: Any) -> None:
    from smsproxy.sign_in import sessions

    sessions.begin(request.session)


def _keep_no_request(sender: Any, instance: Any, **kwargs: Any) -> None:
    """Empty the columns for the query and the fields of a failed sign-in: anything may be typed there."""
    instance.get_data = instance.post_data = ""

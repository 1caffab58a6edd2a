"""The URLs of the sign-in and of the second factor within the admin."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.cache import never_cache
from django.views.i18n import set_language

from smsproxy.sign_in import account, login


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of the sign-in, of the language, and of the second factor."""

    def open_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        return never_cache(partial(view, site=site))

    def page(view: Callable[..., HttpResponse]) -> Any:
        return site.admin_view(partial(view, site=site))

    return [
        path("login/code/", open_page(login.enter_code), name="login_code"),
        path("language/", set_language, name="language"),
        path("account/second-factor/", page(account.overview), name="second_factor"),
        path("account/second-factor/set-up/", page(account.set_up), name="second_factor_set_up"),
        path("account/second-factor/<slug:name>/", page(account.change), name="second_factor_change"),
    ]

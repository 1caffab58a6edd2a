"""The pool page: the pool at a glance, what staff do to a number, and how they buy more."""

from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpResponse
from django.urls import URLPattern, path

from numbers.admin.pool_page.buy import buy_view
from numbers.admin.pool_page.number_acts import number_act_view
from numbers.admin.pool_page.order_page import order_view, stop_view
from numbers.admin.pool_page.overview import pool_view


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the URLs of the pool's own pages."""

    def shown(view: Any) -> Any:
        @wraps(view)
        def with_site(*args: Any, **kwargs: Any) -> HttpResponse:
            response: HttpResponse = view(*args, site=site, **kwargs)
            return response

        return site.admin_view(with_site)

    return [
        path("pool/", shown(pool_view), name="pool"),
        path("pool/buy/", shown(buy_view), name="pool_buy"),
        path("pool/orders/<int:pk>/", shown(order_view), name="pool_order"),
        path("pool/orders/<int:pk>/stop/", shown(stop_view), name="pool_order_stop"),
        path("pool/numbers/<int:pk>/<slug:name>/", shown(number_act_view), name="pool_number_act"),
    ]

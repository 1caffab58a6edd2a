"""The inbox: what needs a person, in one list. A text, a message that was perhaps sent, or a conversation on hold."""

from collections.abc import Callable
from functools import partial

from django.contrib.admin import AdminSite
from django.http import HttpResponse
from django.urls import URLPattern, path

from conversations.admin.inbox import item_admin  # noqa: F401 - registers
from conversations.admin.inbox.act_pages import act_view, take_view
from conversations.admin.inbox.list_page import inbox_view
from conversations.admin.inbox.text_page import text_view


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of the inbox: the list, the texts of one item, and its acts."""

    def view(function: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        found: Callable[..., HttpResponse] = site.admin_view(partial(function, site))
        return found

    return [
        path("inbox/", view(inbox_view), name="inbox"),
        path("inbox/text/<int:pk>/", view(text_view), name="inbox_text"),
        path("inbox/<str:kind>/<int:pk>/take/", view(take_view), name="inbox_take"),
        path("inbox/<str:kind>/<int:pk>/<slug:name>/", view(act_view), name="inbox_act"),
    ]

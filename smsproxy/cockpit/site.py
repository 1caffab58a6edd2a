"""The admin site for staff. Its first page shows troubles, so this module may import every other package."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Trouble
from numbers.models import VirtualNumber
from smsproxy.cockpit import technical
from smsproxy.cockpit.doors import doors_of
from smsproxy.cockpit.home import page, pauses
from smsproxy.cockpit.plan_page import plan_context
from smsproxy.staff.model_admin import NumberSearch


class AdminLink(NamedTuple):
    """The list in which staff handle a trouble, and the permission needed to see both."""

    permission: str
    url_name: str
    query: str = ""


# For troubles without rows of their own: their history.
_EPISODES = AdminLink("conversations.view_troubleepisode", "conversations_troubleepisode")

PLACES = {
    Trouble.PAUSED: AdminLink("conversations.view_accountratelimit", "conversations_accountratelimit"),
    Trouble.NO_WORKER: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.WORKER_GONE: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.WORKER_WAITS: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.UNDECIDED: AdminLink(
        "conversations.view_outboundmessage", "conversations_outboundmessage", "?state__exact=unknown"
    ),
    Trouble.RECONCILE: AdminLink("conversations.view_recordsearch", "conversations_recordsearch"),
    Trouble.QUARANTINED: AdminLink("numbers.view_virtualnumber", "numbers_virtualnumber", "?state__exact=quarantined"),
    Trouble.SHORTAGES: AdminLink("numbers.view_shortage", "numbers_shortage"),
    Trouble.RENTED_BUT_RETIRED: AdminLink(
        "numbers.view_virtualnumber", "numbers_virtualnumber", "?state__exact=retired&is_rented__exact=1"
    ),
    Trouble.CLOCK: AdminLink("conversations.view_hostclock", "conversations_hostclock"),
    Trouble.UNREADABLE: AdminLink("conversations.view_unreadablerow", "conversations_unreadablerow"),
    Trouble.HELD_CONVERSATIONS: AdminLink(
        "conversations.view_conversation", "conversations_conversation", "?state__exact=open&held_at__isempty=0"
    ),
    Trouble.TOP_UP: AdminLink("numbers.view_topup", "numbers_topup", "?last_error__isempty=0"),
    Trouble.BUDGET: AdminLink("conversations.view_accountratelimit", "conversations_accountratelimit"),
    Trouble.BUDGET_WARNING: AdminLink("conversations.view_accountratelimit", "conversations_accountratelimit"),
    Trouble.POOL_LOW: AdminLink("numbers.view_poollevel", "numbers_poollevel"),
    Trouble.WEBHOOKS_REFUSED: AdminLink("conversations.view_rejectedwebhook", "conversations_rejectedwebhook"),
    Trouble.WEBHOOKS_SILENT: AdminLink("conversations.view_webhookwatch", "conversations_webhookwatch"),
    Trouble.SIGNATURE_SECRET: AdminLink("conversations.view_webhookwatch", "conversations_webhookwatch"),
    Trouble.UNDELIVERED: AdminLink("conversations.view_outboundmessage", "conversations_outboundmessage"),
    Trouble.CONFIRMATIONS: AdminLink(
        "conversations.view_outboundmessage", "conversations_outboundmessage", "?kind__exact=confirmation"
    ),
    Trouble.CERTIFICATE: AdminLink("conversations.view_sitecertificate", "conversations_sitecertificate"),
    Trouble.LONG_TRANSACTION: _EPISODES,
    Trouble.MIGRATIONS: _EPISODES,
    Trouble.VERSIONS: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.LOOKUP_ENDS: _EPISODES,
}


# Each returns the URLs of a room's own pages, whose views it wraps in site.admin_view.
PAGES: Sequence[Callable[[admin.AdminSite], list[URLPattern]]] = (
    technical.urls,
    pauses.urls,
)


class AdminSite(admin.AdminSite):
    """The admin site, with the state and the figures on its first page, and the plan of the pool."""

    site_header = "smsproxy"
    site_title = "smsproxy"
    index_title = gettext_lazy("Home")
    # The lists are on the page "Technical".
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register the page of a model. Pages of other packages get the search of ours, too."""
        if admin_class is not None and not issubclass(admin_class, NumberSearch):
            admin_class = type(admin_class.__name__, (NumberSearch, admin_class), {})
        super().register(model_or_iterable, admin_class, **options)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), **_home(request)})

    def home_figures(self, request: HttpRequest) -> TemplateResponse:
        """Return the main part of the first page. It shows no messages, so it takes none from the page that should."""
        return TemplateResponse(request, "admin/home/main.html", _home(request))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        doors = doors_of(request) if request.user.is_authenticated else []
        return {**super().each_context(request), "doors": doors}

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the URLs of the pages that are not a model's, and those of the models."""
        plan = path("plan/", self.admin_view(self.plan_pool), name="plan_pool")
        figures = path("home/figures/", self.admin_view(self.home_figures), name="home_figures")
        return [plan, figures, *(url for urls in PAGES for url in urls(self)), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Add the plan to the models of the pool, on the page of its application. It is not a model."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "numbers" and self._may_plan(request):
                app["models"].append(
                    {
                        "name": _("Plan of the pool"),
                        "object_name": "Plan",
                        "admin_url": reverse("admin:plan_pool"),
                        "view_only": True,
                    }
                )
        return apps

    def plan_pool(self, request: HttpRequest) -> TemplateResponse:
        if not self._may_plan(request):
            raise PermissionDenied
        context = {**self.each_context(request), "title": _("Plan of the pool"), **plan_context(request.GET)}
        return TemplateResponse(request, "admin/plan.html", context)

    def _may_plan(self, request: HttpRequest) -> bool:
        """Return whether the user may see the list of numbers, which links to the plan."""
        return bool(self.get_model_admin(VirtualNumber).has_view_permission(request))


def _home(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the first page. Some 40 queries, of small tables and indexes."""
    status = collect_status()
    active = current.note(status)
    troubles = [
        page.ShownTrouble(trouble, reverse(f"admin:{place.url_name}_changelist") + place.query)
        for trouble in active
        for place in [PLACES[trouble.kind]]
        if request.user.has_perm(place.permission)
    ]
    return page.context(request, status, troubles, [trouble.severity for trouble in active])

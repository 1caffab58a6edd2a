"""The admin site for staff. Its first page shows troubles, so this module may import every other package."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Trouble
from numbers.models import VirtualNumber
from smsproxy.cockpit import find
from smsproxy.cockpit.doors import doors_of
from smsproxy.cockpit.plan_page import plan_context
from smsproxy.staff import reveal_pages
from smsproxy.staff.audited_admin import Audited
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
        "conversations.view_outboundmessage", "conversations_outboundmessage", "?confirmations=failed"
    ),
    Trouble.CERTIFICATE: AdminLink("conversations.view_sitecertificate", "conversations_sitecertificate"),
    Trouble.LONG_TRANSACTION: _EPISODES,
    Trouble.MIGRATIONS: _EPISODES,
    Trouble.VERSIONS: AdminLink("conversations.view_worker", "conversations_worker"),
    Trouble.LOOKUP_ENDS: _EPISODES,
}


# Each returns the URLs of a room's own pages, whose views it wraps in site.admin_view.
PAGES: Sequence[Callable[[admin.AdminSite], list[URLPattern]]] = (
    reveal_pages.urls,
    find.urls,
)


class AdminSite(admin.AdminSite):
    """The admin site, with troubles on its first page and the plan of the pool."""

    site_header = "smsproxy"
    site_title = "smsproxy"
    index_title = "Operations"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register the page of a model. Pages of other packages get the search and the audit of ours, too."""
        if admin_class is not None:
            ours = tuple(each for each in (NumberSearch, Audited) if not issubclass(admin_class, each))
            admin_class = type(admin_class.__name__, (*ours, admin_class), {}) if ours else admin_class
        super().register(model_or_iterable, admin_class, **options)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), "troubles": _troubles(request)})

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        doors = doors_of(request) if request.user.is_authenticated else []
        box = find.box_of(request) if request.user.is_authenticated else {}
        return {**super().each_context(request), "doors": doors, "box": box}

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the URLs of the pages that are not a model's, and those of the models."""
        plan = path("plan/", self.admin_view(self.plan_pool), name="plan_pool")
        return [plan, *(url for urls in PAGES for url in urls(self)), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Add the plan to the models of the pool, on the first page and in the sidebar. It is not a model."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "numbers" and self._may_plan(request):
                app["models"].append(
                    {
                        "name": "Plan of the pool",
                        "object_name": "Plan",
                        "admin_url": reverse("admin:plan_pool"),
                        "view_only": True,
                    }
                )
        return apps

    def plan_pool(self, request: HttpRequest) -> TemplateResponse:
        if not self._may_plan(request):
            raise PermissionDenied
        context = {**self.each_context(request), "title": "Plan of the pool", **plan_context(request.GET)}
        return TemplateResponse(request, "admin/plan.html", context)

    def _may_plan(self, request: HttpRequest) -> bool:
        """Return whether the user may see the list of numbers, which links to the plan."""
        return bool(self.get_model_admin(VirtualNumber).has_view_permission(request))


def _troubles(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the troubles that the user may see, each with the URL of its list."""
    return [
        {
            "active": trouble,
            "url": reverse(f"admin:{PLACES[trouble.kind].url_name}_changelist") + PLACES[trouble.kind].query,
        }
        for trouble in current.note(collect_status())
        if request.user.has_perm(PLACES[trouble.kind].permission)
    ]

"""The admin site for staff. Its first page shows troubles, so this module may import every other package."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from numbers.models import VirtualNumber
from smsproxy.cockpit import find
from smsproxy.cockpit.doors import doors_in_frame
from smsproxy.cockpit.frame import site_link
from smsproxy.cockpit.home import page
from smsproxy.cockpit.pages import page_urls
from smsproxy.cockpit.places import place_for
from smsproxy.cockpit.plan_page import plan_context
from smsproxy.sign_in import login
from smsproxy.sign_in.own_password import OwnPasswordView
from smsproxy.staff.audited_admin import Audited
from smsproxy.staff.model_admin import GuardedList


class AdminSite(admin.AdminSite):
    """The admin site, with the state and the figures on its first page, and the plan of the pool."""

    site_header = "smsproxy"
    site_title = "smsproxy"
    index_title = gettext_lazy("Home")
    # The lists are on the page "Technical".
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register the page of a model. Pages of other packages get the search and the audit of ours, too."""
        if admin_class is not None:
            ours = tuple(each for each in (GuardedList, Audited) if not issubclass(admin_class, each))
            admin_class = type(admin_class.__name__, (*ours, admin_class), {}) if ours else admin_class
        super().register(model_or_iterable, admin_class, **options)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), **_home(request)})

    def home_figures(self, request: HttpRequest) -> TemplateResponse:
        """Return the main part of the first page. It shows no messages, so it takes none from the page that should."""
        return TemplateResponse(request, "admin/home/main.html", _home(request))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the frame of each page shows: the doors, the search box, and where "View site" leads."""
        doors = doors_in_frame(request) if request.user.is_authenticated else []
        box = find.box_of(request) if request.user.is_authenticated else {}
        own = {"doors": doors, "box": box, "languages": settings.LANGUAGES, "site_link": site_link()}
        return {**super().each_context(request), **own}

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return login.sign_in(request, self)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method != "POST":
            return TemplateResponse(request, "admin/sign_in/sign_out.html", self._titled(request, _("Sign out")))
        return login.sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {**self.each_context(request), **(extra_context or {})}
        return OwnPasswordView.as_view(extra_context=context)(request)

    def _titled(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        return {**self.each_context(request), "title": title}

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the URLs of the pages that are not a model's, and those of the models."""
        plan = path("plan/", self.admin_view(self.plan_pool), name="plan_pool")
        figures = path("home/figures/", self.admin_view(self.home_figures), name="home_figures")
        return [plan, figures, *page_urls(self), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Return the lists of records, found when a page shows them. Django asks for them on every page."""
        return SimpleLazyObject(lambda: self._app_list(request, app_label))

    def _app_list(self, request: HttpRequest, app_label: str | None) -> list[Any]:
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
    active, sentences = current.note(status), current.find(status)
    troubles = [
        page.ShownTrouble(trouble, sentences[trouble.kind], place.url)
        for trouble in active
        if (place := place_for(request.user, trouble.kind))
    ]
    return page.context(request, status, troubles, [trouble.severity for trouble in active])

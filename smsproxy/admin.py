"""What every admin page shares: our site, and the read-only base class."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.http import HttpRequest

from smsproxy.states import StaleState


class AdminSite(admin.AdminSite):
    site_header = "smsproxy"
    site_title = "smsproxy"
    index_title = "Operations"


class ReadOnlyAdmin(admin.ModelAdmin):
    """A record: it can be looked at, and changed only by an action that calls a verb of the model."""

    list_per_page = 50
    # An exact count of a large table costs a scan of it.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_state_permission(self, request: HttpRequest) -> bool:
        """For actions, `permissions=["change_state"]`: the model's own "change" permission, which no form uses."""
        return request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename('change', self.opts)}")

    def call_each(self, request: HttpRequest, rows: "QuerySet[Any]", verb: Callable[[Any, str], object]) -> None:
        """Call verb(row, actor) on each row, and tell how many took it and how many had moved on."""
        done = refused = 0
        for row in rows:
            try:
                verb(row, request.user.get_username())
            except StaleState:
                refused += 1
            else:
                done += 1
        told = f"{done} done." if not refused else f"{done} done, {refused} refused: their state does not allow it."
        self.message_user(request, told)


class ReadOnlyInline(admin.TabularInline):
    """Records of a record."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

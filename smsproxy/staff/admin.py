"""What every admin page shares: the read-only base classes. The site itself is in smsproxy/cockpit/site.py."""

import logging
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.auth import get_permission_codename
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from smsproxy.states import StaleState

log = logging.getLogger(__name__)


class BoundedAdmin(admin.ModelAdmin):
    """A list in pages, which bears whatever there is in its address."""

    list_per_page = 50
    # What a filter finds is counted, for the pages; all that there is would be a second count, of the whole table.
    show_full_result_count = False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        show = super().changelist_view
        return self.or_back_to_the_list(request, lambda: show(request, extra_context))

    def or_back_to_the_list(self, request: HttpRequest, show: Callable[[], HttpResponse]) -> HttpResponse:
        """As Django does for filters of which it knows that they are nonsense: back to the list, with a word."""
        try:
            return show()
        except (IncorrectLookupParameters, ValueError, OverflowError, DataError) as error:
            if request.method == "GET" and set(request.GET) <= {ERROR_FLAG}:
                raise  # Nobody asked for anything: it is a fault of ours.
            # The error's text quotes what was asked for: only its kind is told.
            log.warning("the list at %s could not be shown as asked for: %s", request.path, type(error).__name__)
            changelist = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            return HttpResponseRedirect(f"{changelist}?{ERROR_FLAG}=1")


class ReadOnlyAdmin(BoundedAdmin):
    """A record: it can be looked at, and changed only by an action that calls a verb of the model."""

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


class LeavesATrace(ReadOnlyAdmin):
    """A record with something of a person's on its page: whoever sees that leaves a trace in Django's admin log."""

    def what_is_seen(self, request: HttpRequest, row: Any) -> str:
        """What this member of staff sees of people on the page of this row, in words; "" if nothing."""
        raise NotImplementedError

    # Here, and not in change_view: this is called only if a page is shown, and with its row.
    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None and (seen := self.what_is_seen(request, obj)):
            self.log_change(request, obj, f"Saw {seen}.")
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyInline(admin.TabularInline):
    """Records of a record."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

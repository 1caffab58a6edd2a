"""Base classes of all admin pages. The admin site itself is in smsproxy/cockpit/site.py."""

import logging
import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ERROR_FLAG, SEARCH_VAR, ChangeList
from django.contrib.auth import get_permission_codename
from django.db import DataError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from smsproxy.crypto import number_hash
from smsproxy.phone_spellings import holds_phone_number, with_plain_digits
from smsproxy.staff import audit
from smsproxy.staff.acts import REASON_LENGTH, Act, ActRefused, perform
from smsproxy.staff.audited_admin import Audited
from smsproxy.staff.models import AuditAction
from smsproxy.staff.paginator import UncountedChangeList
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

_NUMBERS = re.compile(
    r"""
    # A UUID, another hexadecimal id, and one of more digits than a phone number has.
    (?P<id>
        (?<!\w) [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} (?!\w)
        | (?<!\w) (?= \d*[a-f] ) [0-9a-f]{16,} (?!\w)
        | (?<!\d) \d{16,} (?!\d)
    )
    # Any punctuation may group the digits.
    | \+ (?: [^\w+]|_ ){0,4} \d (?: (?: [^\w+]|_ ){0,4} \d ){7,}
    | (?<![\w-]) \d (?: (?: [^\w+]|_ ){0,4} \d ){9,}
    | \d{10,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


class ReasonForm(ActionForm):
    """The choice of an action, and the reason, without which none is done."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=REASON_LENGTH,
        widget=forms.TextInput({"placeholder": gettext_lazy("Reason, for every action")}),
    )


def split_numbers(search: str) -> tuple[str, list[str]]:
    """Return the search text without its phone numbers, and these numbers: "+", and their digits alone.

    A phone number is 10 to 15 digits, or 8 to 15 after a "+". Fewer are the beginning of one, or an order's number.
    """
    numbers: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        if match["id"]:
            return match[0]
        digits = re.sub(r"\D", "", match[0])
        # Of more digits than a number has, several numbers are the likely reading.
        several = re.findall(r"\d{8,15}", match[0]) if len(digits) > 15 else []
        numbers.extend(several or [digits])
        return " "

    words = _NUMBERS.sub(take_out, with_plain_digits(search)).strip()
    return (words, [f"+{digits}" for digits in numbers]) if numbers else (search.strip(), [])


class GuardedList(admin.ModelAdmin):
    """A list that tolerates an invalid query in its URL. Its search compares whole phone numbers by their hash.

    The admin site adds it to every list.
    A number may be a person's, and a database logs what it compares. A list of nothing does not keep it in its address.
    """

    # Whether to compare it as text after all, because no person has such a number.
    has_invented_numbers = False

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        words, numbers = split_numbers(search_term)
        if not numbers or self.has_invented_numbers:
            return super().get_search_results(request, queryset, search_term)
        found, may_repeat = super().get_search_results(request, queryset, words)
        fields = [path.lstrip("^=@").removesuffix("__startswith") for path in self.get_search_fields(request)]
        paths = [f"{path}_hash" for path in fields if self._has_hash(path)]
        for number in numbers:
            matches = [Q(**{path: number_hash(number)}) for path in paths]
            found = found.filter(Q(*matches, _connector=Q.OR)) if matches else found.none()
        return found, may_repeat or any("__" in path for path in paths)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        show = super().changelist_view
        return self.redirect_on_bad_filter(
            request, lambda: self._without_strange_numbers(request, show(request, extra_context))
        )

    def redirect_on_bad_filter(self, request: HttpRequest, show: Callable[[], HttpResponse]) -> HttpResponse:
        """Return the page, or a redirect to the list with a warning if the filters are invalid, as Django does."""
        try:
            return show()
        except (IncorrectLookupParameters, ValueError, IndexError, OverflowError, DataError) as error:
            if request.method == "GET" and set(request.GET) <= {ERROR_FLAG}:
                raise  # The request has no filters, so the fault is our own.
            # The error's message quotes the request, so only its type is logged.
            log.warning("invalid filters for the list at %s: %s", request.path, type(error).__name__)
            changelist = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            return HttpResponseRedirect(f"{changelist}?{ERROR_FLAG}=1")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        if lookup.endswith("regex"):  # It may be invalid, or take the database very long.
            raise IncorrectLookupParameters
        return super().lookup_allowed(lookup, value, request)

    def _without_strange_numbers(self, request: HttpRequest, page: HttpResponse) -> HttpResponse:
        """Return the page, or a redirect to the list without the search if it names a number of nothing in the list."""
        shown = getattr(page, "context_data", None) or {}
        if "cl" not in shown or self.has_invented_numbers or not split_numbers(request.GET.get(SEARCH_VAR, ""))[1]:
            return page
        if shown["cl"].result_count and self.get_search_fields(request):
            return page  # It is a virtual number.
        query = request.GET.copy()
        del query[SEARCH_VAR]
        told = _("Nothing here has this phone number. It is no longer in the address: use “Find a caller”.")
        self.message_user(request, told, messages.WARNING)
        return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")

    def _has_hash(self, path: str) -> bool:
        field = get_fields_from_path(self.model, path)[-1]
        return field.name == "number" and any(each.name == "number_hash" for each in field.model._meta.fields)


class BaseAdmin(GuardedList, Audited):
    """A paginated list."""

    list_per_page = 50
    # Nothing counts the rows of a list: see paginator.py.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return UncountedChangeList


class ReadOnlyAdmin(BaseAdmin):
    """A record that staff can view, and change only by actions that call a method of the model, for a reason."""

    action_form = ReasonForm

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_state_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run actions with `permissions=["change_state"]`.

        That is the model's own "change" permission, which no form uses.
        """
        return request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename('change', self.opts)}")

    def apply_act(self, request: HttpRequest, rows: "QuerySet[Any]", act: Act[Any]) -> None:
        """Do the act to each row, for the reason typed beside the action, as the page of the act does."""

        def do(row: Any, reason: str) -> None:
            try:
                perform(request, act, row, {"reason": reason})
            except ActRefused as error:
                self.message_user(request, f"{row}: {error}", messages.WARNING)
                raise StaleState(str(error)) from error

        self._do_to_each(request, rows, do)

    def apply_with_reason(
        self, request: HttpRequest, rows: "QuerySet[Any]", verb: Callable[[Any, str, str], object]
    ) -> None:
        """Call verb(row, reason, actor) on each row, for the reason typed beside the action: see ReasonForm.

        The audit gets an entry for each row, with the name of the action.
        """

        def do(row: Any, reason: str) -> None:
            with transaction.atomic():
                verb(row, reason, request.user.get_username())
                audit.record(request, AuditAction.DID, row, detail=request.POST.get("action", ""), reason=reason)

        self._do_to_each(request, rows, do)

    def _do_to_each(self, request: HttpRequest, rows: "QuerySet[Any]", do: Callable[[Any, str], object]) -> None:
        """Call do(row, reason) on each row. Show how many rows changed and how many had an unsuitable state."""
        reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
        if not reason or holds_phone_number(reason):
            told = _("Nothing was done. Type a reason beside the action, in words and without a phone number.")
            self.message_user(request, told, messages.ERROR)
            return
        done = refused = 0
        for row in rows:
            try:
                do(row, reason)
            except StaleState:
                refused += 1
            else:
                done += 1
        told = _("%(done)d done.") % {"done": done}
        if refused:
            told = _("%(done)d done, %(refused)d refused: their state does not allow it.") % {
                "done": done,
                "refused": refused,
            }
        level = messages.SUCCESS if not refused else messages.WARNING if done else messages.ERROR
        self.message_user(request, told, level)


class AuditedViewAdmin(ReadOnlyAdmin):
    """A record with personal data. Each view of that data is recorded in the audit."""

    def describe_disclosure(self, request: HttpRequest, row: Any) -> str:
        """Describe the personal data that this user sees on this page, or return "" without any."""
        raise NotImplementedError

    # Overridden instead of change_view, because it runs only when a page is shown, and receives the row.
    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None and (seen := self.describe_disclosure(request, obj)):
            audit.record(request, AuditAction.SAW, obj, detail=seen)
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyInline(admin.TabularInline):
    """Read-only rows that belong to a record."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

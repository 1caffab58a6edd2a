"""Lists in pages that are never counted: a count would read every row of a large table."""

from typing import Any, NamedTuple

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.http import HttpRequest

MAX_PAGES = 100
"""Further rows need a filter or a search: the database reads all rows before a page."""


class Window(NamedTuple):
    """The rows of a list that a page shows, from 1. previous, next: the queries of the URLs beside it, or ""."""

    first: int
    last: int
    previous: str
    next: str
    is_cut: bool
    """There are further rows, but no further page."""


class UncountedChangeList(ChangeList):
    """A list of which one page is read, with one row more to know whether there is a next page.

    `list_defer` of its admin names encrypted columns that the list does not show: to decrypt them takes time.
    A list with an empty `sortable_by` ignores the order in its URL, too: only the default order has an index.
    """

    window: Window

    def get_results(self, request: HttpRequest) -> None:
        size = self.list_per_page
        start = (self.page_num - 1) * size
        if not 1 <= self.page_num <= MAX_PAGES:
            raise IncorrectLookupParameters
        rows = list(self.queryset.defer(*getattr(self.model_admin, "list_defer", ()))[start : start + size + 1])
        if not rows and start:
            raise IncorrectLookupParameters
        self.result_list: Any = rows[:size]
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True
        self.paginator = Paginator(self.result_list, size)
        has_more = len(rows) > size
        has_next = has_more and self.page_num < MAX_PAGES
        self.window = Window(
            first=start + 1 if rows else 0,
            last=start + self.result_count,
            previous=self._page_url(self.page_num - 1) if start else "",
            next=self._page_url(self.page_num + 1) if has_next else "",
            is_cut=has_more and not has_next,
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter is active."""
        return bool(self.query or self.has_active_filters)

    def get_ordering(self, request: HttpRequest, queryset: Any) -> Any:
        given = self.params
        if not self.sortable_by:
            self.params = {name: value for name, value in given.items() if name != ORDER_VAR}
        try:
            return super().get_ordering(request, queryset)
        finally:
            self.params = given

    def _page_url(self, page: int) -> str:
        return self.get_query_string({PAGE_VAR: str(page)}, [])

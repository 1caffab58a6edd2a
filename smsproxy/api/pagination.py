"""Pages of lists, newest first."""

from typing import Any
from zlib import crc32

from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from smsproxy.api.fields import IntegerParameter, Parameters, TextField
from smsproxy.api.problems import Problem
from smsproxy.opaque_ids import IdKind, public_id, row_id

MAX_PAGE_SIZE = 200
_EXPECTED = "Expected a cursor exactly as an answer of this list gave it."


class PageParameters(Parameters):
    """The query parameters of a list in pages."""

    cursor = TextField(max_length=500, required=False, help_text="The page, from `next` or `previous` of another page.")
    page_size = IntegerParameter(
        min_value=1, max_value=MAX_PAGE_SIZE, required=False, help_text="The maximum of results. The default is 50."
    )


class NewestFirst(CursorPagination):
    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        self.table = crc32(queryset.model._meta.db_table.encode()) >> 1
        page: list[Any] | None = super().paginate_queryset(queryset, request, view)
        return page

    def encode_cursor(self, cursor: Cursor) -> str:
        """Return the URL of a page: the id of the row beside it, encrypted, so that it tells nobody any counts."""
        row = int(cursor.position or 0)  # Never None: ids are unique.
        if not self.page:
            # DRF goes back from an empty page to beyond the row that led here, and would skip that row.
            row += -1 if cursor.reverse else 1
        text = public_id(IdKind.PAGE, row, 2 * self.table + bool(cursor.reverse))
        url: str = replace_query_param(self.base_url or "", self.cursor_query_param, text)
        return url

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor of the query, or None. Raises Problem if no answer of this list gave it."""
        text = request.query_params.get(self.cursor_query_param)
        if text is None:
            return None
        row, extra = row_id(IdKind.PAGE, text) or (0, 0)
        if extra // 2 != self.table or public_id(IdKind.PAGE, row, extra) != text:
            raise invalid_cursor(self.cursor_query_param)
        return Cursor(offset=0, reverse=bool(extra % 2), position=row)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of a page of these results."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": link | {"description": "The URL of the next page, or null."},
                "previous": link | {"description": "The URL of the previous page, or null."},
                "results": schema | {"description": "Newest first."},
            },
        }


def invalid_cursor(parameter: str, detail: str = _EXPECTED) -> Problem:
    """Return the problem of a cursor in this query parameter that is not ours."""
    return Problem(
        400,
        "The cursor is not valid",
        f"{parameter}: {detail}",
        code="cursor_invalid",
        errors=[{"parameter": parameter, "code": "cursor_invalid", "detail": detail}],
    )

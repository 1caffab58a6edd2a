"""Pages of lists, newest first."""

import re
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from smsproxy.api.fields import IntegerParameter, Parameters, TextField
from smsproxy.api.problems import Problem

MAX_PAGE_SIZE = 200


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

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor. Its position comes from the caller and goes into a query, so only an id is accepted."""
        try:
            cursor: Cursor | None = super().decode_cursor(request)
        except NotFound:
            raise invalid_cursor("cursor") from None
        if cursor is None:
            return None
        position = cursor.position
        is_id = position is None or re.fullmatch("[0-9]{1,18}", str(position))
        # DRF has offsets for rows of equal positions. Ids are unique.
        if not is_id or cursor.offset or request.query_params["cursor"] != _encoded(cursor):
            raise invalid_cursor("cursor")
        return cursor

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


def _encoded(cursor: Cursor) -> str:
    """Return the one text of this cursor. Without it, DRF would take much that is none for the first page."""
    tokens = [("r", "1" if cursor.reverse else None), ("p", cursor.position)]
    return b64encode(urlencode([token for token in tokens if token[1] is not None]).encode()).decode()


def invalid_cursor(parameter: str) -> Problem:
    """Return the problem of a cursor in this query parameter that is not ours."""
    detail = "Expected a cursor exactly as an answer of this list gave it."
    return Problem(
        400,
        "The cursor is not valid",
        f"{parameter}: {detail}",
        code="cursor_invalid",
        errors=[{"parameter": parameter, "code": "cursor_invalid", "detail": detail}],
    )

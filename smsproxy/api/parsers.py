"""Parse JSON from outside, bounded in size and depth."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"

    def __init__(self) -> None:
        super().__init__(f"Expected a body of at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")


def read_bounded(request: HttpRequest) -> bytes:
    """Return the whole body. Raises BodyTooLarge if it exceeds DATA_UPLOAD_MAX_MEMORY_SIZE.

    Raises UnreadablePostError if the body is shorter than its Content-Length.
    """
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = request.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if announced.isdecimal() and len(body) < int(announced):
        raise UnreadablePostError("the body ended before it was complete")
    return body


def load_json(body: bytes) -> Any:
    """Return the parsed body. Raises ValueError for anything that is not strict JSON in UTF-8."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is repeated")
        return found

    try:
        return json.loads(body.decode("utf-8"), parse_constant=refuse, object_pairs_hook=without_repeats)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


class BoundedJSONParser(BaseParser):
    """Limits the size of the body. Django's own limit does not apply to the stream that DRF's parser reads."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {})["request"]._request
        try:
            return load_json(read_bounded(request))
        except ValueError as error:
            # `str(error)` may quote the body, so the answer only gives the position of the fault.
            place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise ParseError(f"Expected JSON in UTF-8. The body could not be parsed{place}.") from None

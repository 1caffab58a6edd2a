"""One id for each request: on every log line, in the answer's header X-Request-ID, and in errors of the API."""

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from smsproxy.logs.fields import bound
from smsproxy.logs.redaction import has_phone_number

HEADER = "X-Request-ID"
Respond = Callable[[HttpRequest], HttpResponseBase]

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# A number may be spelled with separators. A UUID may look like that, too.
_LIKE_A_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:[0-9][._-]?){7,}(?![0-9A-Za-z])")


def request_id_middleware(get_response: Respond) -> Respond:
    """Take the id of the proxy in front of us, or make one."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if is_safe(given) else secrets.token_hex(16)
        request.request_id = request_id  # type: ignore[attr-defined]  # For lines that Django logs after us.
        with bound(request_id=request_id):
            response = get_response(request)
        response.headers[HEADER] = request_id
        return response

    return respond


def is_safe(given: str) -> bool:
    """Return whether an id of 8 to 64 letters, digits, dots, dashes and underscores holds no phone number."""
    if not _SAFE.fullmatch(given) or has_phone_number(given):
        return False
    return bool(_UUID.fullmatch(given)) or not _LIKE_A_NUMBER.search(given)

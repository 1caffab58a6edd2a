"""Errors of the API as problem details (RFC 9457), `application/problem+json`. problem_types.py lists them."""

import logging
import sys
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views import defaults
from rest_framework import status
from rest_framework.exceptions import APIException, NotAuthenticated, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from smsproxy.api.field_codes import FIELD_CODES
from smsproxy.api.fields import ParameterError
from smsproxy.api.problem_types import PROBLEMS, type_url
from smsproxy.logs.fields import request_id

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "5"
MAX_ERRORS = 20  # in one problem
log = logging.getLogger(__name__)


class Problem(APIException):
    """An API error with a status, a title, a detail and the list of faulty fields.

    errors: [{"pointer": JSON pointer into the request's body, "code": slug, "detail": text}]. In place of "pointer" is
    "parameter" or "header" for the name of a query parameter or a header. extra: further members of this kind of
    problem, by name. retry_after: seconds, for the header of that name.
    """

    def __init__(
        self,
        status_code: int,
        title: str,
        detail: str,
        *,
        code: str,
        errors: list[dict[str, Any]] | None = None,
        extra: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail, code=code)
        self.status_code = status_code
        self.title = title
        self.errors = errors or []
        self.extra = extra or {}
        self.wait = retry_after  # DRF's name.


class ReadyAnswer(Exception):
    """An answer that code below a view has ready, such as the first answer to a repeated request."""

    def __init__(self, answer: Response) -> None:
        super().__init__(f"an answer with status {answer.status_code} is ready")
        self.answer = answer


def unlisted(code: str, errors: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the codes of a problem and its errors that are in neither table, so have no documentation."""
    of_errors = [str(error["code"]) for error in errors]
    # Some errors repeat the code of their problem. "invalid" would say nothing about a field.
    known = FIELD_CODES.keys() | PROBLEMS.keys() - {"invalid"}
    return [*([code] if code and code not in PROBLEMS else []), *(each for each in of_errors if each not in known)]


def _report(code: str) -> None:
    log.error("the code %s is in neither problem_types.py nor field_codes.py", code)


def header_problem(name: str, code: str, detail: str) -> Problem:
    """Return the problem of a header that is missing or wrong. code: one of field_codes.py."""
    errors = [{"header": name, "code": code, "detail": detail}]
    return Problem(400, PROBLEMS["invalid"].title, f"{name}: {detail}", code="invalid", errors=errors)


def body(
    status_code: int, detail: str, *, title: str = "", code: str = "", errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    about = PROBLEMS.get(code)
    for name in unlisted(code, errors or ()):
        _report(name)
    problem = {
        "type": type_url(code),
        "title": title or (about.title if about else HTTPStatus(status_code).phrase),
        "status": status_code,
        "detail": detail,
    }
    if code:
        problem["code"] = code
    if errors:
        problem["errors"] = errors
    if current := request_id():
        problem["request_id"] = current
    return problem


def _errors(exc: ValidationError) -> list[dict[str, Any]]:
    """Return the errors of a body, each with a pointer, or of a query, each with the name of the parameter."""
    errors = _flatten(exc.detail)
    if not isinstance(exc, ParameterError):
        return errors
    return [
        {"parameter": each["pointer"].removeprefix("/"), "code": each["code"], "detail": each["detail"]}
        for each in errors
    ]


def _flatten(detail: Any, pointer: str = "") -> list[dict[str, Any]]:
    """Return DRF's nested errors as a flat list, each with a JSON pointer (RFC 6901) to the field."""
    if isinstance(detail, dict):
        return [
            error
            for key, value in detail.items()
            # "non_field_errors" is DRF's name for errors of the object as a whole.
            for error in _flatten(value, pointer if key == "non_field_errors" else f"{pointer}/{_escape(str(key))}")
        ]
    if isinstance(detail, list):
        flat = []
        for index, value in enumerate(detail):
            flat += _flatten(value, f"{pointer}/{index}" if isinstance(value, dict | list) else pointer)
        return flat
    return [{"pointer": pointer, "code": getattr(detail, "code", "invalid"), "detail": str(detail)}]


def _escape(key: str) -> str:
    # The answer repeats an unknown key: it is shortened, and lone surrogates are replaced so that it can be encoded.
    return key[:50].encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem of an exception, for DRF. None lets Django answer 500 through `server_error` below."""
    if isinstance(exc, ReadyAnswer):
        return exc.answer
    if isinstance(exc, RequestDataTooBig):
        return _response(body(413, "The body is too large.", code="body_too_large"))
    if isinstance(exc, UnreadablePostError):
        return _response(body(400, "The body ended before it was complete.", code="unreadable_body"))
    if isinstance(exc, OperationalError | InterfaceError):
        # The error's message may contain values, so only its type is logged.
        log.error("the database is not available: %s", type(exc).__name__)
        return _response(_no_database(), headers={"Retry-After": RETRY_AFTER})
    answer = drf_exception_handler(exc, context)
    if answer is None:
        return None
    if isinstance(exc, ValidationError):
        errors = _errors(exc)
        data = body(400, _summary(errors), code="invalid", errors=errors[:MAX_ERRORS])
    elif isinstance(exc, Problem):
        data = body(exc.status_code, str(exc.detail), title=exc.title, code=_code(exc), errors=exc.errors) | exc.extra
    else:
        code = _CODES.get(type(exc)) or _code(exc) or "not_found"
        data = body(answer.status_code, _DETAILS.get(code) or str(getattr(exc, "detail", exc)), code=code)
    return _response(data, headers=answer.headers)


# Instead of DRF's own, which repeat the request or name our classes.
_DETAILS = {
    "not_found": "Your service has no object at this URL. Check the id in it.",
    "method_not_allowed": "This URL does not support the method. The header Allow names those that it does.",
    "unsupported_media_type": "Expected the header «Content-Type: application/json».",
}
_CODES: dict[type[Exception], str] = {NotAuthenticated: "authentication_failed"}


def _no_database() -> dict[str, Any]:
    return body(503, "The database is not available. Retry in a few seconds.", code="database_unavailable")


def _code(exc: Exception) -> str:
    detail = getattr(exc, "detail", "")
    return str(getattr(detail, "code", ""))


def _summary(errors: list[dict[str, Any]]) -> str:
    first = errors[0] if errors else {"detail": "The request is not valid."}
    place = first.get("pointer") or first.get("parameter") or ("query" if "parameter" in first else "body")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place}: {first['detail']}{more}"


def _response(data: dict[str, Any], headers: Any = None) -> Response:
    kept = {
        name: value for name, value in (headers or {}).items() if name in ("Allow", "Retry-After", "WWW-Authenticate")
    }
    return Response(data, status=data["status"], headers=kept, content_type=CONTENT_TYPE)


# Django's error pages, for requests that never reach a DRF view: problems under /api/, HTML elsewhere.


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        detail = "The request cannot be read."
        if isinstance(exception, DisallowedHost):
            detail = "The header Host does not name a host of this service."
        data = body(status.HTTP_400_BAD_REQUEST, detail, code="bad_request")
        return JsonResponse(data, status=400, content_type=CONTENT_TYPE)
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        hint = "" if request.path_info.endswith("/") else " URLs of the API end with a slash."
        data = body(status.HTTP_404_NOT_FOUND, f"Nothing was found at this URL.{hint}", code="not_found")
        return JsonResponse(data, status=404, content_type=CONTENT_TYPE)
    return defaults.page_not_found(request, exception)


def unavailable(request: HttpRequest) -> HttpResponse:
    """Return the 503 for a database that does not answer."""
    return _answer_503(request, _no_database())


def clock_is_wrong(request: HttpRequest) -> HttpResponse:
    """Return the 503 for a host whose clock is wrong."""
    detail = "The clock of this host is wrong. Retry in a few seconds."
    return _answer_503(request, body(503, detail, code="clock_wrong"))


def _answer_503(request: HttpRequest, problem: dict[str, Any]) -> HttpResponse:
    headers = {"Retry-After": RETRY_AFTER}
    if _is_api(request):
        return JsonResponse(problem, status=503, content_type=CONTENT_TYPE, headers=headers)
    return HttpResponse(problem["detail"], status=503, headers=headers)


def server_error(request: HttpRequest) -> HttpResponse:
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        return unavailable(request)
    if _is_api(request):
        data = body(
            status.HTTP_500_INTERNAL_SERVER_ERROR, "An internal error occurred and was logged.", code="server_error"
        )
        return JsonResponse(data, status=500, content_type=CONTENT_TYPE)
    return defaults.server_error(request)

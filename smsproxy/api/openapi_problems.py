"""The problems in the OpenAPI schema: their responses, schemas and examples, made from problem_types.py."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from smsproxy.api.field_codes import FIELD_CODES
from smsproxy.api.problem_types import PROBLEMS, type_url

MEDIA_TYPE = "application/problem+json"
_EXAMPLE_ID = "9f86d081884c7d659a2feaa0c55ad015"

SCHEMAS: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "description": "A problem document, as in RFC 9457. Some kinds have further members.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "The page that explains this kind of problem."},
            "title": {"type": "string", "description": "The kind of problem, in a few words."},
            "status": {"type": "integer", "description": "The status of the answer."},
            "detail": {"type": "string", "description": "What happened, what was expected, and what to do."},
            "code": {"type": "string", "description": "The kind of problem, for programs."},
            "errors": {
                "type": "array",
                "maxItems": 20,
                "items": {"$ref": "#/components/schemas/FieldError"},
                "description": "Each wrong field, query parameter or header. At most 20.",
            },
            "request_id": {"type": "string", "description": "The `X-Request-ID` of the answer."},
        },
    },
    "FieldError": {
        "type": "object",
        "description": "One error. It has one of `pointer`, `parameter` and `header`.",
        "required": ["code", "detail"],
        "properties": {
            "pointer": {"type": "string", "description": "The field: a JSON pointer (RFC 6901) into the body."},
            "parameter": {"type": "string", "description": "The name of the query parameter."},
            "header": {"type": "string", "description": "The name of the header."},
            "code": {
                "type": "string",
                "enum": sorted({*FIELD_CODES, *PROBLEMS}),
                "description": "The kind of error, for programs.",
            },
            "detail": {"type": "string", "description": "What was expected."},
        },
    },
}


def responses(codes: Iterable[str]) -> dict[str, Any]:
    """Return the responses for these codes, by status. Raises KeyError for a code that is not in the table."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {str(status): _response(status, found) for status, found in sorted(by_status.items())}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    meanings = [f"- `{code}`: {PROBLEMS[code].meaning}" for code in codes]
    headers = ["X-Request-ID", *(["Retry-After"] if status in (429, 503) else [])]
    return {
        "description": "\n".join([f"{HTTPStatus(status).phrase}", "", *meanings]),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": codes}, "status": {"const": status}}},
                    ]
                },
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def examples() -> dict[str, Any]:
    """Return an example of each problem, by its code."""
    return {code: {"summary": about.title, "value": example(code)} for code, about in sorted(PROBLEMS.items())}


def example(code: str) -> dict[str, Any]:
    """Return a document of this kind of problem."""
    about = PROBLEMS[code]
    document: dict[str, Any] = {
        "type": type_url(code),
        "title": about.title,
        "status": about.status,
        "detail": about.meaning,
        "code": code,
    }
    if code == "invalid":
        error = {"pointer": "/ttl", "code": "not_an_integer", "detail": "Expected a whole number, found a string."}
        document |= {"detail": f"/ttl: {error['detail']}", "errors": [error]}
    return document | about.example | {"request_id": _EXAMPLE_ID}


def share_responses(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Replace the most frequent response of each status of an error by a reference, and return those responses."""
    places = [
        (operation["responses"], status)
        for methods in paths.values()
        for operation in methods.values()
        for status in operation["responses"]
        if int(status) >= 400
    ]
    counts = Counter((status, json.dumps(at[status], sort_keys=True)) for at, status in places)
    shared: dict[str, str] = {}
    for (status, text), count in counts.most_common():
        if count > 1:
            shared.setdefault(status, text)
    for at, status in places:
        if shared.get(status) == json.dumps(at[status], sort_keys=True):
            at[status] = {"$ref": f"#/components/responses/Problem{status}"}
    return {f"Problem{status}": json.loads(text) for status, text in sorted(shared.items())}

"""Declare an operation of the API: what it takes, what it answers, and its problems.

The declaration is the contract. smsproxy/api/views.py enforces what it says about the request, and the OpenAPI schema
shows all of it (smsproxy/api/openapi.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rest_framework import serializers

Method = TypeVar("Method", bound=Callable[..., Any])
SerializerClass = type[serializers.BaseSerializer]
# The body of an answer: a serializer class, a serializer (many=True) or None for no body.
Answer = SerializerClass | serializers.BaseSerializer | None


@dataclass(frozen=True, kw_only=True)
class Header:
    """A header of a request. pattern: a regular expression of JSON Schema."""

    name: str
    description: str
    required: bool = False
    pattern: str = ""
    example: str = ""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one endpoint. See `operation` for the meaning of each field."""

    id: str
    summary: str
    description: str = ""
    request: SerializerClass | None = None
    parameters: SerializerClass | None = None
    headers: tuple[Header, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    creates: bool = False
    deprecated: bool = False


def operation(
    id: str,
    summary: str,
    *,
    answers: Mapping[int, Answer],
    request: SerializerClass | None = None,
    parameters: SerializerClass | None = None,
    headers: Sequence[Header] = (),
    path: Mapping[str, str] | None = None,
    problems: Sequence[str] = (),
    creates: bool = False,
    description: str = "",
    deprecated: bool = False,
) -> Callable[[Method], Method]:
    """Return a decorator that declares an operation, for the method of a view.

    id: the operation's name in client libraries, in snake_case, such as "create_conversation". summary: a few words.
    answers: the serializer of each status of success. request: the serializer of the body; without it, a body is
    rejected. parameters: the serializer of the query; without it, every query parameter is rejected. headers: those
    that the method reads itself. path: the meaning of each parameter of the path.
    problems: codes of problem_types.py that this method raises itself. Those of every operation are added: keys,
    limits, validation, unknown objects, outages. creates: it takes an Idempotency-Key.
    description: Markdown; by default the docstring of the method, or of the view.
    """

    def declare(method: Method) -> Method:
        method.operation = Operation(  # type: ignore[attr-defined]
            id=id,
            summary=summary,
            description=description,
            request=request,
            parameters=parameters,
            headers=tuple(headers),
            path=path or {},
            answers=answers,
            problems=tuple(problems),
            creates=creates,
            deprecated=deprecated,
        )
        return method

    return declare


def operation_of(view: object, method: str | None) -> Operation | None:
    """Return the declaration of this HTTP method of the view, or None. HEAD is a GET."""
    name = "get" if method in (None, "HEAD") else str(method).lower()
    found: Operation | None = getattr(getattr(view, name, None), "operation", None)
    return found

"""The operations of the API, found by walking the URLs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from smsproxy.api.schema import Operation

# A value for each kind of parameter in a path. There is no object of this id.
_VALUES = {"uuid": "6700e7f1-9cc9-4416-acb0-660068ecc461", "int": "0", "slug": "x", "str": "x"}
NO_KEY_NEEDED = {"schema", "reference", "problems", "problem"}


@dataclass(frozen=True)
class Endpoint:
    """One method at one URL. operation: its declaration, or None if it has none."""

    name: str
    method: str
    path: str
    view: Any
    operation: Operation | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def endpoints() -> list[Endpoint]:
    """Return every method of every URL under /api/ that needs a key."""
    return list(_endpoints())


def _endpoints() -> Iterator[Endpoint]:
    for route, pattern in _patterns(get_resolver().url_patterns):
        if not route.startswith("api/") or pattern.name in NO_KEY_NEEDED:
            continue
        view: Any = pattern.callback.view_class  # type: ignore[attr-defined]
        path = "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda match: _VALUES[match[1] or "str"], route)
        for method in ("get", "post", "put", "patch", "delete"):
            if handler := getattr(view, method, None):
                operation = getattr(handler, "operation", None)
                yield Endpoint(pattern.name or "", method.upper(), path, view, operation)


def _patterns(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield route, pattern
        else:
            yield from _patterns(pattern.url_patterns, route)

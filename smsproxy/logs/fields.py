"""Fields of a log line: the ids by which a request and a message are followed through all processes.

A line has the fields of its own call, `log.info("…", extra={"inbound_id": 7})`, and those that `bound` gives to every
line of a block, also to lines of libraries. No other field is ever written: libraries attach whole requests to theirs.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from smsproxy.logs.redaction import redact

IDS = ("inbound_id", "conversation_id", "long_message_id")
"""Integers. They are written as they are: redaction would mask them from ten million on."""
FIELDS = (
    "request_id",
    "endpoint",
    "outcome",
    *IDS,
    "conversation",
    "message_ref",
    "message_refs",
    "attempt",
    "carrier_message_id",
    "status",
    "code",
    "seconds",
)

_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default=MappingProxyType({}))
_PLAIN = re.compile(r"[\w.:/-]+")


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Give these fields to every log line of this thread within the block."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def request_id() -> str:
    """Return the id of the request that this thread answers, or "" outside of a request."""
    return str(_bound.get().get("request_id", ""))


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of a line, redacted."""
    return redacted({**_bound.get(), **_of_request(record), **record.__dict__})


def redacted(known: Mapping[str, object]) -> dict[str, object]:
    """Return the known fields that have a value, redacted, in their usual order."""
    return {name: _redacted(name, known[name]) for name in FIELDS if known.get(name) not in (None, "", [])}


def as_text(fields: Mapping[str, object]) -> str:
    """Return " name=value" for each field. Values with other characters than those of ids are quoted."""
    return "".join(f" {name}={_quoted(value)}" for name, value in fields.items())


def _of_request(record: logging.LogRecord) -> dict[str, object]:
    """Return the id of Django's request: Django logs some answers after the middleware has ended."""
    request_id = getattr(getattr(record, "request", None), "request_id", None)
    return {"request_id": request_id} if request_id else {}


def _redacted(name: str, value: object) -> object:
    if name in IDS and type(value) is int:
        return value
    if isinstance(value, list | tuple):
        return [redact(str(each)) for each in value]
    clean = redact(str(value))
    return value if isinstance(value, int | float) and clean == str(value) else clean


def _quoted(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if _PLAIN.fullmatch(text.replace(",", "")) else json.dumps(text)

"""Tracing, an extra: spans of a message's way, sent by OpenTelemetry to OTEL_EXPORTER_OTLP_ENDPOINT.

requirements-otel.txt has its packages. Without the endpoint nothing of them is loaded, and a span costs nothing.

There is no automatic instrumentation. It would put URLs, SQL parameters and error texts into spans, and our own spans
have only the fields of smsproxy/logs/fields.py, redacted as in the log.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from importlib.util import find_spec
from time import time_ns
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from smsproxy.tracing.exporter import Exporter

log = logging.getLogger(__name__)

MISSING = "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: there are no traces."

_exporter: "Exporter | None" = None
_arrived_at: ContextVar[int | None] = ContextVar("arrived_at", default=None)


def is_installed() -> bool:
    """Return whether the packages of requirements-otel.txt are here."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def start() -> None:
    """Send spans from now on, if an endpoint is set. Call it after a fork: a thread sends them."""
    global _exporter
    if _exporter is not None or not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return
    if not is_installed():
        log.error("%s Run `pip install -r requirements-otel.txt`, or remove the setting.", MISSING)
        return
    from smsproxy.tracing.exporter import Exporter

    _exporter = Exporter()


@contextmanager
def arrival() -> Iterator[None]:
    """Let the spans of this block that begin with a webhook begin here."""
    token = _arrived_at.set(time_ns())
    try:
        yield
    finally:
        _arrived_at.reset(token)


def record_webhook(name: str, fields: dict[str, object]) -> None:
    """Record a webhook, from its arrival until now. All but receipts begin a trace."""
    if _exporter is not None:
        now = time_ns()
        _exporter.record(name, _arrived_at.get() or now, now, fields, is_first="status" not in fields, is_served=True)


def record_attempt(fields: dict[str, object], *, queued_at: datetime, claimed_at: datetime, seconds: float) -> None:
    """Record an attempt to send a message, and before the first one its wait in the queue. seconds: of the attempt.

    A message of our own, which no inbound message has caused, begins its trace with its wait.
    """
    if _exporter is None:
        return
    now = time_ns()
    if fields.get("attempt") == 1:
        waited = {name: fields[name] for name in fields if name not in ("outcome", "code", "seconds")}
        is_first = not fields.get("inbound_id")
        _exporter.record("queue", _nanoseconds(queued_at), _nanoseconds(claimed_at), waited, is_first=is_first)
    _exporter.record("send", now - int(seconds * 1e9), now, fields, is_call=True)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)

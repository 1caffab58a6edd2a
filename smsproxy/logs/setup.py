"""The configuration of Python's logging, for every process but gunicorn's own loggers (gunicorn_logger.py)."""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

FORMATTERS = {"text": "smsproxy.logs.formats.RedactingFormatter", "json": "smsproxy.logs.formats.JsonFormatter"}

log = logging.getLogger(__name__)


def logging_settings(*, level: str, style: str) -> dict[str, Any]:
    """Return Django's LOGGING. Every line passes a redacting formatter.

    level: of the root logger. style: "text" or "json".
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "redacting": {
                "()": FORMATTERS[style],
                "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            },
        },
        "filters": {"no_health": {"()": "django.utils.log.CallbackFilter", "callback": _is_not_about_health}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "redacting"},
            # Silences a logger. A logger without any handler would still print its warnings, unredacted.
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # Without Django's own handlers, so that every line passes the redacting formatter.
            "django": {"handlers": [], "propagate": True},
            # The development server logs query strings, which contain numbers and message bodies.
            "django.server": {"handlers": ["nowhere"], "propagate": False},
            # One line for each 4xx response would bury the rest. Rejected webhooks are counted instead.
            "django.request": {"level": "ERROR", "filters": ["no_health"]},
            # A line for each step of a sign-in would bury the rest. The audit has the sign-ins.
            "axes": {"level": "WARNING"},
            # Scanners try many host names and get a 400. A traceback for each would bury the rest.
            "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        },
    }


def _is_not_about_health(record: logging.LogRecord) -> bool:
    """Return False for an answer of /readyz: anybody may ask. monitoring/health.py logs each change once."""
    return getattr(getattr(record, "request", None), "path_info", "") != "/readyz" or record.exc_info is not None


def log_uncaught_errors() -> None:
    """Log warnings, and what ends the program or one of its threads. Python would print them unredacted."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback, args.thread)
    logging.captureWarnings(capture=True)


def _uncaught(
    kind: type[BaseException],
    error: BaseException | None,
    trace: TracebackType | None,
    thread: threading.Thread | None = None,
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit) or error is None:
        sys.__excepthook__(kind, error or kind(), trace)
        return
    where = f"the thread {thread.name}" if thread else "the program"
    log.critical("%s ended with an error", where, exc_info=(kind, error, trace))

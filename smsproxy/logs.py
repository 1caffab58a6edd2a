"""Redact phone numbers in log lines: the last line of defence for privacy.

This project never logs a real number, but an exception of a library may contain one. Everything that looks like a phone
number is therefore masked in the finished line, traceback included. That is 8 or more digits in a row, or 7 or more
after a "+" with single spaces, dashes, dots and brackets between them. A number with spaces and without "+" is not
recognised, and neither is the body of a message.
"""

import logging
import re
from typing import Any

_PATTERN = re.compile(
    r"""
    (?P<kept>
        # A UUID, or a long hexadecimal id with letters among the digits, not only before them as in "id447700900001".
        (?<!\w) [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} (?!\w)
        | (?<!\w) (?= \d*[a-f]+\d+[a-f] ) [0-9a-f]{16,} (?!\w)
    )
    # "+", also as encoded in a URL (once or more) or in JSON.
    | (?: \+ | %(?:25)*2b | \\u002b ) \(? [1-9] (?: [ ().-]{0,2} \d ){6,}
    # Not the decimals of "12.345678901".
    | (?<!\d) (?<!\d\.) \d{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(line: str) -> str:
    """Return the line with phone numbers replaced by "[number]"."""
    return _PATTERN.sub(lambda match: match["kept"] or "[number]", line)


def has_phone_number(text: str) -> bool:
    """Return whether the text holds what `redact` would replace."""
    return redact(text) != text


class RedactingFormatter(logging.Formatter):
    """A formatter whose lines contain no phone numbers."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def logging_settings(*, level: str) -> dict[str, Any]:
    """Return Django's LOGGING. Every line passes the redacting formatter. level: of the root logger."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "redacting": {
                "()": "smsproxy.logs.RedactingFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            },
        },
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
            "django.request": {"level": "ERROR"},
            # Scanners try many host names and get a 400. A traceback for each would bury the rest.
            "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        },
    }

"""The two formats of a log line, LOG_FORMAT=text and json. Neither contains a phone number.

Each value is redacted before it is encoded: JSON would write a digit of another script as \\u0664, which the pattern
does not see. Nothing is added after that but quotes and the ids of fields.py.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from smsproxy.logs.fields import as_text, fields_of
from smsproxy.logs.redaction import redact
from smsproxy.version import VERSION


class RedactingFormatter(logging.Formatter):
    """A line of text, the fields at its end. A traceback follows in further lines."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = _message(record)
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        line = redact(self.formatMessage(record)) + as_text(fields_of(record))
        return "\n".join([line, *self.details(record)])

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.strftime(datefmt) if datefmt else _rfc3339(moment)

    def details(self, record: logging.LogRecord) -> list[str]:
        """Return the traceback and the stack of the record, redacted.

        A text that another formatter has cached in the record is not used: it may not be redacted.
        """
        details = []
        if record.exc_info:
            details.append(redact(self.formatException(record.exc_info)))
        elif record.exc_text:
            details.append(redact(record.exc_text))
        if record.stack_info:
            details.append(redact(record.stack_info))
        return details


class JsonFormatter(RedactingFormatter):
    """A line with one JSON object, in ASCII. docs/logging.md lists its members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": redact(record.name),
            "message": redact(_message(record)),
            **fields_of(record),
            "process": redact(process_name()),
            "pid": record.process,
            "version": VERSION,
        }
        if details := self.details(record):
            line["exception"] = "\n".join(details)
        return json.dumps(line)


@cache
def process_name() -> str:
    """Return the role of this process: "web", or the name of a command of manage.py such as "relay"."""
    program = Path(sys.argv[0]).name
    if program == "manage.py":
        return sys.argv[1] if len(sys.argv) > 1 else program
    return "web" if "gunicorn" in sys.modules else program


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - otherwise logging would print the arguments, unredacted
        return f"{record.msg} (its arguments do not fit: {type(error).__name__})"


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

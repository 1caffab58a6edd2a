"""gunicorn's own loggers in the format of LOG_FORMAT, redacted."""

import logging
from typing import Any

from gunicorn.glogging import Logger

from smsproxy.environment import peek
from smsproxy.logs.formats import JsonFormatter, RedactingFormatter


class RedactingLogger(Logger):  # type: ignore[misc]  # gunicorn has no types.
    """As text, the lines keep the look that gunicorn's users know."""

    def _set_handler(self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:
        formatter = JsonFormatter() if peek("LOG_FORMAT") == "json" else RedactingFormatter(fmt._fmt, fmt.datefmt)
        super()._set_handler(log, output, formatter, stream)

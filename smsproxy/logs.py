"""The last line of defence for privacy in logs.

Nothing of ours logs a real number. But an exception out of a library may carry one, so whatever looks like a phone
number is masked in the finished line, traceback included.
"""

import logging
import re

# 8 to 15 digits in a row that are not part of a longer word (an id, say), with or without "+" (and its URL form).
_NUMBER = re.compile(r"(?<![\w.-])(?:\+|%2[Bb])?\d{8,15}(?![\w-])")


def redact(line: str) -> str:
    return _NUMBER.sub("[number]", line)


class RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

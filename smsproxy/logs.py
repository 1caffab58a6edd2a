"""The last line of defence for privacy in logs.

Nothing of ours logs a real number. But an exception out of a library may carry one, so whatever looks like a phone
number is masked in the finished line, traceback included: 8 or more digits in a row, whatever stands beside them, and 7
or more after a "+" with single spaces, dashes, dots and brackets among them. A number that is written with spaces and
without "+" is not recognised; neither is a text.
"""

import logging
import re

_PATTERN = re.compile(
    r"""
    (?P<kept>
        # A UUID, and a long hexadecimal id: letters among the digits, not only before them as in "id447700900001".
        (?<!\w) [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} (?!\w)
        | (?<!\w) (?= \d*[a-f]+\d+[a-f] ) [0-9a-f]{16,} (?!\w)
    )
    # "+", also as in a URL (quoted once or more) or in JSON.
    | (?: \+ | %(?:25)*2b | \\u002b ) \(? [1-9] (?: [ ().-]{0,2} \d ){6,}
    # Not the decimals of "12.345678901".
    | (?<!\d) (?<!\d\.) \d{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(line: str) -> str:
    return _PATTERN.sub(lambda match: match["kept"] or "[number]", line)


class RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

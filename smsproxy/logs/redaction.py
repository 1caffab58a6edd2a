"""Redact phone numbers in log lines: the last line of defence for privacy.

This project never logs a real number, but an exception of a library may contain one. Everything that looks like a phone
number is therefore masked, traceback included. That is 8 or more digits in a row, or 7 or more after a "+" with single
spaces, dashes, dots and brackets between them. A number with spaces and without "+" is not recognised, and neither is
the body of a message.
"""

import re

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

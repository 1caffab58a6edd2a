"""Parse a person's number from the command line. Errors never repeat it, and "-" keeps it out of shell history."""

import sys

from django.core.management.base import CommandError

from smsproxy.phone import NotE164, parse_e164

FROM_STANDARD_INPUT = "-"
HOW_TO_HIDE = (
    "“-” instead of a person's number, to read it from standard input, one line each, because shells store their "
    "history."
)


def number_argument(text: str, name: str) -> str:
    """Return the number in E.164. Raises CommandError, which names the argument but not the number."""
    if text == FROM_STANDARD_INPUT:
        text = sys.stdin.readline().strip()
    try:
        return parse_e164(text)
    except NotE164 as error:
        raise CommandError(f"{name}: {error}.", returncode=2) from None

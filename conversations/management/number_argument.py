"""The numbers of people as arguments: never repeated in an error, and kept out of the shell's history on request."""

import sys

from django.core.management.base import CommandError

from smsproxy.phone import NotE164, parse_e164

FROM_STANDARD_INPUT = "-"
HOW_TO_HIDE = (
    "“-” instead of a person's number: it is read from standard input, a line for each, since shells keep what they "
    "are told."
)


def number_argument(text: str, name: str) -> str:
    """In E.164. name: what the argument is called. Raises CommandError, which does not say the number."""
    if text == FROM_STANDARD_INPUT:
        text = sys.stdin.readline().strip()
    try:
        return parse_e164(text)
    except NotE164 as error:
        raise CommandError(f"{name}: {error}.", returncode=2) from None

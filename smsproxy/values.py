"""Parse values that people type: command line arguments, form fields, CSV cells and API fields.

Each parser returns the value or raises InvalidValue. The four interfaces wrap that error in their own kind.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import inf
from typing import TypeVar

import phonenumbers

from smsproxy.phone import NotE164, parse_e164

MAX_FOUND = 40  # characters of a wrong value that an error repeats
MIN_RATE = 0.01  # segments a second
MAX_INTEGER_DIGITS = 9
MAX_PATTERN_DIGITS = 15
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Choice = TypeVar("Choice", bound=StrEnum)


class InvalidValue(ValueError):
    """A value that cannot be used. `expected` describes a good one, without the value that was found."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found[:MAX_FOUND]!r}")
        self.expected = expected


def sentence(error: ValueError) -> str:
    """Return the error's message as a sentence, for pages and API responses."""
    message = str(error)
    return f"{message[:1].upper()}{message[1:]}."


def country(text: str) -> str:
    """Return the ISO 3166-1 alpha-2 code in upper case."""
    code = text.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidValue("the two letters of a country, such as GB", text)
    return code


def euros(text: str) -> Decimal:
    """Return an amount in EUR, below one million, with at most two decimals."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,2})?", text):
        raise InvalidValue("an amount in EUR, such as 1.50", text)
    return Decimal(text)


def rate(text: str) -> float:
    """Return a rate in segments a second."""
    expected = f"segments a second, {MIN_RATE} or more"
    try:
        found = float(text)
    except ValueError:
        raise InvalidValue(expected, text) from None
    if not MIN_RATE <= found < inf:
        raise InvalidValue(expected, text)
    return found


def whole_number(text: str, *, least: int, most: int | None = None, unit: str = "") -> int:
    """Return an integer between the two limits, both included. The unit only appears in the error."""
    limits = f", {least} or more" if most is None else f" from {least} to {most}"
    is_integer = re.fullmatch(f"[0-9]{{1,{MAX_INTEGER_DIGITS}}}", text)
    if not is_integer or int(text) < least or (most is not None and int(text) > most):
        raise InvalidValue(f"a whole number{f' of {unit}' if unit else ''}{limits}", text)
    return int(text)


def duration(text: str) -> timedelta:
    """Return a time in hours, days or weeks."""
    match = re.fullmatch(r"([0-9]{1,4})([hdw])", text)
    if match is None:
        raise InvalidValue("a time in hours, days or weeks, such as 12h, 7d or 4w", text)
    return int(match[1]) * _UNITS[match[2]]


def day(text: str) -> datetime:
    """Return the beginning of this day, in UTC."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # There is no such day.
        pass
    raise InvalidValue("a date such as 2027-03-31", text)


def pool_name(text: str) -> str:
    """Return the text if it can name a pool. Whether such a pool exists is for `Pool.objects.named` to say."""
    if not re.fullmatch(r"[-\w]{1,40}", text, re.ASCII):
        raise InvalidValue("the name of a pool: 1 to 40 letters, digits, hyphens and underscores", text)
    return text


def virtual_number(text: str) -> str:
    """Return one of our own numbers in E.164. The error repeats the text, so never parse a person's number here.

    For a person's number use `smsproxy.phone.parse_e164`, whose error repeats nothing.
    """
    try:
        return parse_e164(text)
    except NotE164 as error:
        raise InvalidValue(str(error).removeprefix("expected "), text) from None


def digits(text: str) -> str:
    """Return the digits to search for in a phone number, without a leading "+"."""
    pattern = text.removeprefix("+")
    if not re.fullmatch(f"[0-9]{{0,{MAX_PATTERN_DIGITS}}}", pattern):
        raise InvalidValue(f"at most {MAX_PATTERN_DIGITS} digits, such as 7700", text)
    return pattern


def one_of(choices: type[Choice], text: str) -> Choice:
    """Return the member of the enumeration that has this value."""
    try:
        return choices(text)
    except ValueError:
        raise InvalidValue(f"one of {', '.join(choices)}", text) from None


def id_in_url(text: str) -> int | None:
    """Return the id of a row that this part of a URL names, or None if no row can have it."""
    is_id = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_id else None

"""The arguments of the pool commands. Each parser's error says what was expected and what was found."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

import phonenumbers
from django.core.management.base import CommandParser

from numbers.models import Pool
from smsproxy.carriers.base import Feature, NumberType, PatternPlace
from smsproxy.phone import NotE164, parse_e164

MOST_NUMBERS = 1000

Choice = TypeVar("Choice", bound=StrEnum)


def add_query_arguments(parser: CommandParser) -> None:
    """Add the arguments that describe the numbers to search for."""
    parser.add_argument("--country", type=country, required=True, help="two letters, such as GB")
    parser.add_argument(
        "--features",
        type=features,
        default=frozenset({Feature.SMS}),
        help=f"required features, comma-separated: {', '.join(Feature)} (default: SMS)",
    )
    parser.add_argument(
        "--type", type=one_of(NumberType), default=None, metavar="TYPE", help=f"{', '.join(NumberType)} (default: any)"
    )
    parser.add_argument(
        "--pattern", type=pattern, default="", help="digits to find in the number, which begins with its country code"
    )
    parser.add_argument(
        "--pattern-place",
        type=one_of(PatternPlace),
        default=PatternPlace.ANYWHERE,
        metavar="PLACE",
        help=f"where in the number: {', '.join(PatternPlace)} (default: anywhere)",
    )


def country(text: str) -> str:
    code = text.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ArgumentTypeError(f"expected the two letters of a country, such as GB, found {text!r}")
    return code


def count(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_NUMBERS):
        raise ArgumentTypeError(f"expected a whole number from 1 to {MOST_NUMBERS}, found {text!r}")
    return int(text)


def features(text: str) -> frozenset[Feature]:
    found = frozenset(one_of(Feature)(word.strip().upper()) for word in text.split(","))
    if Feature.SMS not in found:
        raise ArgumentTypeError(f"expected SMS among the features, found {text!r}")
    return found


def pattern(text: str) -> str:
    digits = text.removeprefix("+")
    if not re.fullmatch("[0-9]{0,15}", digits):
        raise ArgumentTypeError(f"expected at most 15 digits, such as 7700, found {text!r}")
    return digits


def euros(text: str) -> Decimal:
    try:
        amount = Decimal(text)
        if amount.is_finite() and 0 <= amount < 1_000_000 and amount == amount.quantize(Decimal("0.01")):
            return amount
    except InvalidOperation:
        pass
    raise ArgumentTypeError(f"expected an amount in EUR, such as 1.50, found {text!r}")


def find_pool(name: str) -> Pool:
    pool = Pool.objects.filter(name=name).first()
    if pool is None:
        names = ", ".join(Pool.objects.values_list("name", flat=True))
        known = f"one of the pools {names}" if names else "the name of a pool, of which none exists yet"
        raise ArgumentTypeError(f"expected {known} (left out: the common pool), found {name!r}")
    return pool


def number(text: str) -> str:
    try:
        return parse_e164(text)
    except NotE164 as error:
        raise ArgumentTypeError(f"{error}, found {text!r}") from None


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    def parse(text: str) -> Choice:
        try:
            return choices(text)
        except ValueError:
            raise ArgumentTypeError(f"expected one of {', '.join(choices)}, found {text!r}") from None

    return parse

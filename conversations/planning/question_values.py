"""What a plan may be asked for, each checked where it is read: on the command line, and in the admin's form."""

import re
from argparse import ArgumentTypeError
from datetime import timedelta
from decimal import Decimal

MOST_DAYS = 366
LEAST_GROWTH, MOST_GROWTH = -99, 1000


def days(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_DAYS):
        raise ArgumentTypeError(f"expected a whole number of days from 1 to {MOST_DAYS}, found {text!r}")
    return int(text)


def seconds(text: str) -> timedelta:
    most = MOST_DAYS * 24 * 3600
    if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= most):
        raise ArgumentTypeError(f"expected a whole number of seconds from 1 to {most}, found {text!r}")
    return timedelta(seconds=int(text))


def growth(text: str) -> Decimal:
    if not (re.fullmatch(r"[+-]?[0-9]{1,4}([.][0-9]{1,2})?", text) and LEAST_GROWTH <= Decimal(text) <= MOST_GROWTH):
        raise ArgumentTypeError(
            f"expected percent a month from {LEAST_GROWTH} to {MOST_GROWTH}, such as 10 or 2.5, found {text!r}"
        )
    return Decimal(text)

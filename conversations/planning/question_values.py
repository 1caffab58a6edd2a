"""Parse what a plan is asked for. Each parser raises smsproxy.values.InvalidValue."""

import re
from datetime import timedelta
from decimal import Decimal

from smsproxy.values import InvalidValue, whole_number

MAX_DAYS = 366
LEAST_GROWTH, MOST_GROWTH = -99, 1000


def days(text: str) -> int:
    """Return the number of days of history to read."""
    return whole_number(text, least=1, most=MAX_DAYS, unit="days")


def seconds(text: str) -> timedelta:
    """Return a cool-down that was given in seconds."""
    return timedelta(seconds=whole_number(text, least=1, most=MAX_DAYS * 24 * 3600, unit="seconds"))


def growth(text: str) -> Decimal:
    """Return a growth in percent a month."""
    if not (re.fullmatch(r"[+-]?[0-9]{1,4}([.][0-9]{1,2})?", text) and LEAST_GROWTH <= Decimal(text) <= MOST_GROWTH):
        raise InvalidValue(f"percent a month from {LEAST_GROWTH} to {MOST_GROWTH}, such as 10 or 2.5", text)
    return Decimal(text)

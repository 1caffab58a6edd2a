"""Forecast demand, and the day on which it exceeds the numbers in stock. Trends are exact fractions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

DAYS_IN_MONTH = 30
HORIZON = 730
"""Days. A forecast beyond two years is not credible."""
MIN_DAYS = 7
"""The minimum of days for a trend."""


def slope(values: Sequence[int]) -> Fraction | None:
    """Return the growth from one value to the next, by least squares. None: too few values."""
    count = len(values)
    if count < MIN_DAYS:
        return None
    # Twice each distance from the middle, which is an integer.
    distances = [2 * place - (count - 1) for place in range(count)]
    products = sum(distance * value for distance, value in zip(distances, values, strict=True))
    return Fraction(2 * products, sum(distance * distance for distance in distances))


def monthly(per_day: Fraction | None) -> Decimal | None:
    """Return the growth of 30 days, rounded to two decimals."""
    if per_day is None:
        return None
    # "+ 0" turns -0 into 0.
    return round(Decimal(per_day.numerator * DAYS_IN_MONTH) / Decimal(per_day.denominator), 2) + 0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The demand of the coming days.

    needed: numbers needed today. per_day: linear growth. growth: percent a month, compounding, which replaces per_day.
    If both are None, the future is unknown.
    """

    needed: int
    per_day: Fraction | None
    growth: Decimal | None = None

    @property
    def is_known(self) -> bool:
        return self.growth is not None or self.per_day is not None

    def after(self, days: int) -> float:
        """Return the numbers needed after this many days."""
        if self.growth is not None:
            # Rounded, so that an exact doubling is not slightly more than double.
            monthly_factor = 1 + float(self.growth) / 100
            return float(round(self.needed * math.pow(monthly_factor, days / DAYS_IN_MONTH), 9))
        needed = self.needed + (self.per_day or Fraction(0)) * days
        return max(needed.numerator / needed.denominator, 0.0)

    def runs_out(self, numbers: int, today: date) -> date | None:
        """Return the first day on which the numbers are too few. None: not within the horizon, or unknown."""
        late = (days for days in range(HORIZON + 1) if self.after(days) > numbers)
        first = next(late, None)
        return None if first is None else today + timedelta(days=first)

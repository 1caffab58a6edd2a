"""How need grows, and the day on which it exceeds what there is. Exact: a straight history has a straight future."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

DAYS_IN_MONTH = 30
HORIZON = 730
"""Nobody believes a forecast beyond two years."""
LEAST_DAYS = 7
"""A trend of fewer days is none."""


def slope(values: Sequence[int]) -> Fraction | None:
    """How much they grow from one to the next: the least squares' straight line. None: there are too few to tell."""
    count = len(values)
    if count < LEAST_DAYS:
        return None
    # In whole numbers, from the middle: twice each distance is one.
    distances = [2 * place - (count - 1) for place in range(count)]
    products = sum(distance * value for distance, value in zip(distances, values, strict=True))
    return Fraction(2 * products, sum(distance * distance for distance in distances))


def monthly(per_day: Fraction | None) -> Decimal | None:
    if per_day is None:
        return None
    # "+ 0": no minus before a zero.
    return round(Decimal(per_day.numerator * DAYS_IN_MONTH) / Decimal(per_day.denominator), 2) + 0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """needed: today. per_day: so many more on each further day. growth: instead of it, percent a month, compounding.

    Both None: nothing is known of the future.
    """

    needed: int
    per_day: Fraction | None
    growth: Decimal | None = None

    @property
    def is_known(self) -> bool:
        return self.growth is not None or self.per_day is not None

    def after(self, days: int) -> float:
        """How many are needed then."""
        if self.growth is not None:
            # Rounded, so that exactly twice as many are not a little more than that.
            monthly_factor = 1 + float(self.growth) / 100
            return float(round(self.needed * math.pow(monthly_factor, days / DAYS_IN_MONTH), 9))
        needed = self.needed + (self.per_day or Fraction(0)) * days
        return max(needed.numerator / needed.denominator, 0.0)

    def runs_out(self, numbers: int, today: date) -> date | None:
        """The first day on which these are too few; None: none within the horizon, or nobody knows."""
        late = (days for days in range(HORIZON + 1) if self.after(days) > numbers)
        first = next(late, None)
        return None if first is None else today + timedelta(days=first)

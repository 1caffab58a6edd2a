"""The spend of this month on the first page, in EUR."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from conversations.insight.status import Budget
from conversations.models import AccountRateLimit
from numbers.provisioning.budget import Rent, rent_of_this_month


@dataclass(frozen=True, kw_only=True)
class Spend:
    """texts, rent: EUR, None without the right to see it. month: its first day."""

    month: date
    today: Budget | None
    texts: Decimal | None
    rent: Rent | None

    @property
    def total(self) -> Decimal | None:
        """Return texts and rent together, None if one of them may not be seen."""
        return None if self.texts is None or self.rent is None else self.texts + self.rent.euros

    @property
    def used(self) -> int | None:
        """Return the percentage of today's budget that is spent, up to 100; None without a budget."""
        if self.today is None or not self.today.budget:
            return None
        return min(int(100 * self.today.spent / self.today.budget), 100)


def collect(now: datetime, budget: Budget, *, with_texts: bool, with_rent: bool) -> Spend:
    """Read the spend, with two queries for the texts and one for the rent."""
    return Spend(
        month=now.date().replace(day=1),
        today=budget if with_texts else None,
        texts=AccountRateLimit.spent_this_month(now) if with_texts else None,
        rent=rent_of_this_month() if with_rent else None,
    )

"""Look rows up by phone number, in any spelling, without the number itself in the statement."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Self, TypeVar

from django.db import models

from smsproxy.crypto import number_hash

Row = TypeVar("Row", bound=models.Model, covariant=True)


class FoundByNumber(models.QuerySet[Row]):
    """Rows with the columns `number` and `number_hash`. Look-ups bind the hash only: a database logs parameters."""

    def with_number(self, *numbers: str) -> Self:
        """Return the rows of these E.164 numbers, as far as stored."""
        return self.filter(number_hash__in=[number_hash(number) for number in numbers])

    def by_number(self, numbers: Iterable[str]) -> dict[str, Row]:
        """Return the rows of these E.164 numbers, as far as stored, by the number as given."""
        spellings = defaultdict(list)
        for number in dict.fromkeys(numbers):
            spellings[number_hash(number)].append(number)
        rows = self.filter(number_hash__in=list(spellings))
        return {number: row for row in rows for number in spellings[row.number_hash]}  # type: ignore[attr-defined]

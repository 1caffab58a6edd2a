"""Look rows up by phone number, in any spelling, without the number itself in the statement."""

from collections.abc import Iterable
from typing import Self, TypeVar

from django.db import models

from smsproxy.crypto import number_hash

Row = TypeVar("Row", bound=models.Model, covariant=True)


class FoundByNumber(models.QuerySet[Row]):
    """Rows with the columns `number` and `number_hash`. Look-ups bind the hash only: a database logs parameters."""

    def with_number(self, *numbers: str) -> Self:
        """Return the rows of these E.164 numbers, as far as stored."""
        return self.filter(number_hash__in={number_hash(number) for number in numbers})

    def by_number(self, numbers: Iterable[str]) -> dict[str, Row]:
        """Return the rows of these E.164 numbers, as far as stored, by the number as given."""
        numbers = set(numbers)
        rows = {row.number_hash: row for row in self.with_number(*numbers)}  # type: ignore[attr-defined]
        hashes = {number: number_hash(number) for number in numbers}
        return {number: rows[its_hash] for number, its_hash in hashes.items() if its_hash in rows}

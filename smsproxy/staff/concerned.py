"""Which people a row concerns, so that the audit of a person is complete. The rooms above register their models."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import models

_PEOPLE: dict[type[models.Model], Callable[[Any], Iterable[int | None]]] = {}


def concerns(model: type[models.Model], people: Callable[[Any], Iterable[int | None]]) -> None:
    """Register how to find the people of a row of this model.

    people: returns the ids of their real numbers' rows. None among them is left out.
    """
    _PEOPLE[model] = people


def people_of(row: models.Model | None) -> list[int]:
    """Return the ids of the real numbers' rows that this row concerns, each once."""
    if row is None or type(row) not in _PEOPLE:
        return []
    return sorted({person for person in _PEOPLE[type(row)](row) if person is not None})

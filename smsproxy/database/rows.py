"""Model instances from the rows of hand-written SQL."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model
from django.db.models.expressions import Col

M = TypeVar("M", bound=Model)
Convert = Callable[[Any], Any]


def instance(model: type[M], fields: tuple[str, ...], values: Sequence[Any]) -> M:
    """Return an instance with these fields loaded, and all others deferred. fields: column names, as the values."""
    names, places, converters = _plan(model, fields)
    row = [values[place] for place in places]
    for place, convert in converters:
        row[place] = convert(row[place])
    return model.from_db(DEFAULT_DB_ALIAS, names, row)


@cache
def _plan(model: type[Model], fields: tuple[str, ...]) -> tuple[list[str], list[int], list[tuple[int, Convert]]]:
    """Return the fields in the order of the model, their places in `fields`, and the conversions of raw values."""
    found = [field for field in model._meta.concrete_fields if field.attname in fields]
    if len(found) != len(fields):
        raise ValueError(f"expected fields of {model.__name__}, found {fields}")
    converters: list[tuple[int, Convert]] = []
    for place, field in enumerate(found):
        column = Col(model._meta.db_table, field)
        for convert in [*connection.ops.get_db_converters(column), *field.get_db_converters(connection)]:
            converters.append((place, partial(_convert, convert, column)))
    names = [field.attname for field in found]
    return names, [fields.index(name) for name in names], converters


def _convert(convert: Callable[[Any, Any, Any], Any], column: Col, value: Any) -> Any:
    return convert(value, column, connection)

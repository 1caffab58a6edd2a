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
    row = dict(zip(fields, values, strict=True))
    names, converters = _plan(connection.vendor, model, fields)
    for name, convert in converters:
        row[name] = convert(row[name])
    return model.from_db(DEFAULT_DB_ALIAS, names, [row[name] for name in names])


@cache
def _plan(vendor: str, model: type[Model], fields: tuple[str, ...]) -> tuple[list[str], list[tuple[str, Convert]]]:
    """Return the fields in the order of the model, and the conversions that the ORM makes of raw values."""
    found = [field for field in model._meta.concrete_fields if field.attname in fields]
    converters: list[tuple[str, Convert]] = []
    for field in found:
        column = Col(model._meta.db_table, field)
        for convert in [*connection.ops.get_db_converters(column), *field.get_db_converters(connection)]:
            converters.append((field.attname, partial(_convert, convert, column)))
    return [field.attname for field in found], converters


def _convert(convert: Callable[[Any, Any, Any], Any], column: Col, value: Any) -> Any:
    return convert(value, column, connection)

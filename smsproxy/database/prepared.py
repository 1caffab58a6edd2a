"""Hand-written SQL: prepared on PostgreSQL, where planning a statement costs more than running it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg.types.numeric import Int8

# Statements with a VALUES list differ by its length. The driver keeps 100 by default, and would plan the rest again.
_MAX_PREPARED = 1000
_MAX_CACHED = 4096


def is_postgresql() -> bool:
    """Return whether the database is PostgreSQL, which alone has prepared statements."""
    return connection.vendor == "postgresql"


def execute(statement: str, parameters: dict[str, Any]) -> psycopg.Cursor[Any]:
    """Run a prepared statement on Django's connection. Django's own cursors never prepare one."""
    ours = connections[DEFAULT_DB_ALIAS]  # Not `connection`, which looks it up for each attribute.
    ours.ensure_connection()
    ours.connection.prepared_max = _MAX_PREPARED
    with ours.wrap_database_errors:
        return psycopg.Cursor(ours.connection).execute(statement, parameters, prepare=True)


def fetch_all(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that PostgreSQL and SQLite both understand."""
    if is_postgresql():
        return execute(statement, parameters).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def shortened(statement: str) -> str:
    """Return a long statement without the white space that SQL does not need, none of which may be in a string.

    The driver caches its own form of statements of up to 4096 characters.
    """
    short = re.sub(r" ?([(),=]) ?", r"\1", " ".join(statement.split()))
    if len(short) > _MAX_CACHED:
        raise ValueError(f"expected at most {_MAX_CACHED} characters, found {len(short)}")
    return short


def values(rows: Iterable[Sequence[Any]]) -> tuple[str, dict[str, Any]]:
    """Return the text of a VALUES list with these rows, and its parameters.

    Both databases name the columns of such a list column1, column2 and so on.
    """
    parameters: dict[str, Any] = {}
    texts = []
    for row in rows:
        names = [f"value_{len(parameters) + place}" for place in range(len(row))]
        # The driver sends small integers as another type than large ones, and each mix of types is another statement.
        same_types = [Int8(value) if isinstance(value, int) else value for value in row]
        parameters.update(zip(names, same_types, strict=True))
        texts.append(f"({', '.join(f'%({name})s' for name in names)})")
    return ", ".join(texts), parameters

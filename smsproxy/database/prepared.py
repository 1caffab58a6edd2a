"""Hand-written SQL: prepared on PostgreSQL, where planning a statement costs more than running it."""

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections


def is_postgresql() -> bool:
    """Return whether the database is PostgreSQL, which alone has prepared statements."""
    return connection.vendor == "postgresql"


def execute(statement: str, parameters: dict[str, Any]) -> psycopg.Cursor[Any]:
    """Run a prepared statement on Django's connection. Django's own cursors never prepare one."""
    ours = connections[DEFAULT_DB_ALIAS]  # Not `connection`, which looks it up for each attribute.
    ours.ensure_connection()
    with ours.wrap_database_errors:
        return psycopg.Cursor(ours.connection).execute(statement, parameters, prepare=True)


def fetch_all(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that PostgreSQL and SQLite both understand."""
    if is_postgresql():
        return execute(statement, parameters).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())

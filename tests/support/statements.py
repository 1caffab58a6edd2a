"""Every statement that reaches the database, those that Django does not log included."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import psycopg
from django.db import connection


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """Yield a list to which each statement of this thread's connection is added, in order.

    On PostgreSQL, all cursors are watched: the prepared statements of `smsproxy.database.prepared` bypass Django's.
    """
    found: list[str] = []
    if connection.vendor == "postgresql":
        execute = psycopg.Cursor.execute

        def record(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            found.append(str(query).strip())
            return execute(cursor, query, *args, **kwargs)

        with mock.patch.object(psycopg.Cursor, "execute", record):
            yield found
    else:

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            found.append(sql.strip())
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            yield found

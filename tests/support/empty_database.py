"""A test with transaction=True leaves an empty database. pytest loads this: see tests/conftest.py.

Django truncates every table, and makes all content types and permissions again. On PostgreSQL that takes half a second,
for 300 tests. This deletes from the tables that have rows, and keeps content types and permissions.
"""

from contextlib import nullcontext
from functools import cache
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

from smsproxy.services.models import Service
from smsproxy.staff import append_only

KEPT = {"django_migrations", "django_content_type", "auth_permission"}
# Without autovacuum, deleted rows stay in a table until it is truncated, and slow every later test.
_LARGE = 256 * 1024  # bytes


def empty_database() -> None:
    """Delete every row, except those that `migrate` itself writes. On PostgreSQL, free the space of many rows."""
    tables = _tables()
    deletions = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables_with_rows(tables)]
    if connection.vendor == "postgresql" and _largest(tables) > _LARGE:
        deletions = connection.ops.sql_flush(no_style(), tables)
    with append_only.lifted(connection) if _has_audit(deletions) else nullcontext():
        connection.ops.execute_sql_flush(deletions)
    Service.objects.ensure_default()  # A migration inserts it.


def _has_audit(deletions: list[str]) -> bool:
    """Return whether rows of the audit are deleted, which its triggers would refuse."""
    return any(table in deletion for deletion in deletions for table in append_only.TABLES)


@cache
def _tables() -> list[str]:
    return [table for table in connection.introspection.django_table_names() if table not in KEPT]


def tables_with_rows(tables: list[str]) -> list[str]:
    """Return those of the tables that have rows."""
    name = connection.ops.quote_name
    each = (f"SELECT {index} WHERE EXISTS (SELECT 1 FROM {name(table)})" for index, table in enumerate(tables))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(each))
        return [tables[index] for (index,) in cursor.fetchall()]


def _largest(tables: list[str]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(pg_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", [tables])
        (size,) = cursor.fetchone()
    return int(size)


def _fixture_teardown(self: Any) -> None:
    empty_database()
    ContentType.objects.clear_cache()  # A test of migrations makes them again, with other ids.


TransactionTestCase._fixture_teardown = _fixture_teardown  # type: ignore[attr-defined]

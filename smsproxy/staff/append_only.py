"""Triggers that refuse to change, delete or truncate the rows of the audit, whichever role of the database asks.

The owner of the tables can drop the triggers, and nobody else: docs/privacy.md says how to run the application with a
role that is not the owner.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TABLES = ("staff_auditentry", "staff_auditedperson")
_REFUSAL = "the audit is append-only"

_ON_POSTGRESQL = [
    f"""
    CREATE OR REPLACE FUNCTION staff_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'insufficient_privilege'; END $$
    """,
    *(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION staff_audit_is_append_only()"
        for table in TABLES
    ),
]
_ON_SQLITE = [
    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    for table in TABLES
    for verb in ("UPDATE", "DELETE")
]


def add_triggers(connection: Any) -> None:
    """Create the triggers on TABLES."""
    _run(connection, _ON_POSTGRESQL if connection.vendor == "postgresql" else _ON_SQLITE)


def drop_triggers(connection: Any) -> None:
    """Drop the triggers on TABLES, if they exist."""
    if connection.vendor == "postgresql":
        statements = [f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}" for table in TABLES]
    else:
        statements = [f"DROP TRIGGER IF EXISTS {table}_no_{verb}" for table in TABLES for verb in ("update", "delete")]
    _run(connection, statements)


@contextmanager
def lifted(connection: Any) -> Iterator[None]:
    """Drop the triggers within the block. Only for an empty database of tests, and for a reversed migration."""
    drop_triggers(connection)
    try:
        yield
    finally:
        add_triggers(connection)


def _run(connection: Any, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)

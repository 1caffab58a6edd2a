"""Statements written by hand, prepared: for hotpath.py, bulk.py and claiming.py, which have no others."""

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections


def serves() -> bool:
    """Only PostgreSQL has prepared statements, and what is written by hand for speed is for it alone."""
    return connection.vendor == "postgresql"


def execute(statement: str, parameters: dict[str, Any]) -> psycopg.Cursor[Any]:
    """On Django's connection, but prepared, which its own cursors never are: planning costs more than running."""
    ours = connections[DEFAULT_DB_ALIAS]  # Not `connection`, which looks it up for each attribute.
    ours.ensure_connection()
    with ours.wrap_database_errors:
        return psycopg.Cursor(ours.connection).execute(statement, parameters, prepare=True)

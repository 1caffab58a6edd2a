"""Databases that are loaded from a dump, beside the test's own: of an earlier release, or from a backup."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.utils import timezone
from psycopg import sql

from tests.support.demo_process import ROOT
from tests.support.relay_process import url_of_the_test

RELEASES = ROOT / "tests" / "releases"


@contextmanager
def empty_postgresql() -> Iterator[str]:
    """Yield the URL of a new database on the server of the test's. Drop it afterwards."""
    server = url_of_the_test()
    with psycopg.connect(server, autocommit=True) as connection:
        name = f"{connection.info.dbname}_restored"
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


class Release:
    """The dump of a release for one kind of database. facts: what make.py says of it."""

    def __init__(self, version: str, vendor: str) -> None:
        self._dump = (RELEASES / version / f"{vendor}.sql").read_text()
        self.facts: dict[str, Any] = json.loads((RELEASES / version / f"{vendor}.json").read_text())

    def load(self, url: str) -> None:
        """Load the dump into an empty database, as if it had been made a moment ago."""
        age = (timezone.now() - datetime.fromisoformat(self.facts["made_at"])).total_seconds()
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(path_of(url))) as file, file:
                file.create_function("REGEXP", 2, lambda pattern, text: bool(re.search(pattern, text)))  # A constraint.
                file.executescript(self._dump)
                _move_times_of_sqlite(file, age)
            return
        with psycopg.connect(url) as connection:
            connection.execute(self._dump.encode())
            connection.execute("SET search_path TO public")
            _move_times_of_postgresql(connection, age)


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, from a connection of its own."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(path_of(url), timeout=20)) as file:
            return file.execute(query).fetchall()
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def columns(url: str) -> dict[tuple[str, str], tuple[str, bool]]:
    """Return the type of each column, by table and name, and whether an INSERT may leave it out.

    The length of a text is left out: a longer column holds what an older version writes.
    """
    query = (
        'SELECT t.name, c.name, c.type, NOT c."notnull" OR c.dflt_value IS NOT NULL OR c.pk > 0 '
        "FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        if url.startswith("sqlite")
        else "SELECT table_name, column_name, data_type, "
        "is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES' "
        "FROM information_schema.columns WHERE table_schema = 'public'"
    )
    found = rows(url, query)
    return {
        (table, column): (its_type.partition("(")[0], bool(is_optional))
        for table, column, its_type, is_optional in found
    }


def _move_times_of_postgresql(connection: "psycopg.Connection[Any]", seconds: float) -> None:
    times = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'"
    ).fetchall()
    for table, column in times:
        move = sql.SQL("UPDATE {} SET {} = {} + make_interval(secs => %s) WHERE isfinite({})")
        at = sql.Identifier(column)
        connection.execute(move.format(sql.Identifier(table), at, at, at), [seconds])


def _move_times_of_sqlite(file: sqlite3.Connection, seconds: float) -> None:
    for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for _, column, its_type, *_ in file.execute(f'PRAGMA table_info("{table}")').fetchall():
            if its_type == "datetime":
                moved = f"strftime('%Y-%m-%d %H:%M:%f', \"{column}\", '{seconds:+.3f} seconds')"
                file.execute(f'UPDATE "{table}" SET "{column}" = {moved} WHERE "{column}" IS NOT NULL')

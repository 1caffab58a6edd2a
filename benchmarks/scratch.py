"""A PostgreSQL database created for one run and dropped afterwards, with Django set up on it."""

import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import psycopg
from psycopg import sql

from tests.support import postgres

LIMITS = (
    "MESSAGES_PER_PERSON_MINUTE",
    "MESSAGES_PER_PERSON_DAY",
    "MESSAGES_PER_CONVERSATION_MINUTE",
    "CREATIONS_PER_SERVICE_MINUTE",
    "CREATIONS_PER_SERVICE_DAY",
    "NEW_PEOPLE_PER_SERVICE_MINUTE",
    "NEW_PEOPLE_PER_SERVICE_DAY",
)
SIGNATURE_SECRET = "a signature secret for benchmarks"


class NoDatabase(Exception):
    """No PostgreSQL answers."""


@contextmanager
def scratch_database() -> Iterator[str]:
    """Yield the URL of a new database. The role in BENCH_DATABASE_URL needs CREATEDB."""
    server = os.environ.get("BENCH_DATABASE_URL") or postgres.find()
    if server is None:
        raise NoDatabase("No PostgreSQL server answers. Set BENCH_DATABASE_URL=postgres://user:password@host/name")
    address, mark, query = server.partition("?")
    name = f"smsproxy_bench_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"{address.rpartition('/')[0]}/{name}{mark}{query}"
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def copies(database_url: str, count: int) -> Iterator[list[str]]:
    """Yield the names of copies of this database, to which no other connection may be open. Drop them afterwards."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        original = connection.info.dbname
        names = [f"{original}_{index}" for index in range(count)]
        try:
            for name in names:
                copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(copy.format(sql.Identifier(name), sql.Identifier(original)))
            yield names
        finally:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def environment(database_url: str) -> dict[str, str]:
    """Return the environment of our processes: as in production, independent of this machine's."""
    return {
        "PATH": os.environ["PATH"],
        "ENV_FILE": "/no/such/file",
        "SECRET_KEY": "a secret key for benchmarks only, which protects nothing at all",
        "ENCRYPTION_KEYS": "tHqO0P5cwAq3b5xhrnbwIs1oTTPgTDkhbRYBbIHzUcM=",
        "NUMBER_HASH_KEY": "a lookup key for benchmarks only, 32 characters or more",
        "DATABASE_URL": database_url,
        "PUBLIC_URL": "https://sms.example.com",
        "ALLOWED_HOSTS": "localhost,sms.example.com",
        "CARRIER": "vonage",
        "VONAGE_API_KEY": "abcd1234",
        "VONAGE_API_SECRET": "secret-of-the-api",
        "VONAGE_SIGNATURE_SECRET": SIGNATURE_SECRET,
        # Measure our own speed, not Vonage's limits.
        "CARRIER_REQUESTS_PER_SECOND": "100000",
        "NUMBER_SEGMENTS_PER_SECOND": "*=100000",
        # Practically unlimited, but counted as in production.
        **dict.fromkeys(LIMITS, "100000000"),
        "DAILY_BUDGET": "999999",
    }


def empty_database() -> None:
    """Delete all rows, those of the append-only audit included."""
    from django.core.management import call_command
    from django.db import connection

    from smsproxy.staff import append_only

    with append_only.lifted(connection):
        call_command("flush", interactive=False, verbosity=0)


def default_limits() -> dict[str, int]:
    """Return the values of LIMITS that production has if nobody sets them."""
    unlimited = {name: os.environ.pop(name) for name in LIMITS if name in os.environ}
    try:
        settings = runpy.run_path(str(Path(__file__).parent.parent / "smsproxy" / "settings.py"))
    finally:
        os.environ.update(unlimited)
    return {name: settings[name] for name in LIMITS}


def start_django(variables: dict[str, str]) -> None:
    """Set up Django in this process, which fills and reads the database."""
    from django.core.management import call_command

    os.environ.update(variables)
    os.environ["DJANGO_SETTINGS_MODULE"] = "smsproxy.settings"
    django.setup()
    call_command("migrate", verbosity=0)

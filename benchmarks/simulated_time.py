"""Simulated time, in this process and for its database connection.

The database's clock decides about most things, so a simulated clock of Python's alone would decide nothing. Functions
of a schema of their own hide PostgreSQL's clock from a connection that names the schema first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine
from django.db import connection

from smsproxy.database import prepared

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)

_CLOCK = """
    CREATE OR REPLACE FUNCTION simulated.{name}() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('simulated.now')::timestamptz $$
"""
_NAMES = ("clock_timestamp", "now", "statement_timestamp")


def define_clock() -> None:
    """Define the simulated clock in the database. Call it before `simulated_time`, in one process."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS simulated")
        for name in _NAMES:
            cursor.execute(_CLOCK.format(name=name))


@contextmanager
def simulated_time() -> Iterator[Callable[[float], None]]:
    """Simulate a day, and yield a function that sets its time in seconds since MIDNIGHT. The clock stands still."""
    with time_machine.travel(MIDNIGHT, tick=False) as clock:

        def set_time(seconds: float) -> None:
            moment = MIDNIGHT + timedelta(seconds=seconds)
            clock.move_to(moment)
            prepared.execute("SELECT set_config('simulated.now', %(now)s, false)", {"now": moment.isoformat()})

        try:
            set_time(0)
            with connection.cursor() as cursor:
                cursor.execute("SET search_path = simulated, pg_catalog, public")
                cursor.execute("SET synchronous_commit = off")  # Disk speed does not matter here.
            yield set_time
        finally:
            connection.close()  # With its settings.

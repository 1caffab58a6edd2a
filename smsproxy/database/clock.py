"""The database's clock, which decides what depends on time. The clocks of several hosts never agree.

Raw SQL calls `statement_timestamp()`, and the ORM `DatabaseNow()`: neither costs a round trip. The other code calls
`database_now()`, which costs one on PostgreSQL. What only people read, such as the times of events, may come from
`timezone.now()`.

A SQLite database has the clock of its host. PostgreSQL's functions are defined there under the same names.
"""

from datetime import UTC, datetime
from typing import Any

from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.utils import timezone


class DatabaseNow(models.Func):
    """The moment at which the database received the statement. PostgreSQL can use it with an index."""

    function = "statement_timestamp"
    arity = 0
    output_field = models.DateTimeField()


def database_now() -> datetime:
    """Return the time of the database, with one query on PostgreSQL."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    return from_stored(now)


def measure_skew() -> float:
    """Return the seconds by which this host's clock is ahead of the database's. Negative: behind."""
    before = timezone.now()
    there = database_now()
    here = before + (timezone.now() - before) / 2
    return (here - there).total_seconds()


def as_stored(at: datetime) -> Any:
    """Return the moment as a parameter of raw SQL."""
    return connection.ops.adapt_datetimefield_value(at)


def from_stored(value: Any) -> datetime:
    """Return the moment in a row of raw SQL. SQLite returns its stored text, or a moment without a zone."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@receiver(connection_created)
def _add_to_sqlite(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        for name in ("statement_timestamp", "clock_timestamp"):
            connection.connection.create_function(name, 0, lambda: as_stored(timezone.now()))

"""The time limit of a plan. A page gives up in time, and the command has no limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled


class DeadlineExceeded(Exception):
    """The time limit ended before the history was read."""


class Deadline:
    """A time limit in seconds from now. The default is no limit."""

    def __init__(self, seconds: float = inf) -> None:
        self._at = monotonic() + seconds

    def check(self) -> None:
        """Raise DeadlineExceeded if the time limit has ended."""
        if monotonic() > self._at:
            raise DeadlineExceeded

    @contextmanager
    def for_database(self) -> Iterator[None]:
        """Read a long result in one transaction. Raises DeadlineExceeded if PostgreSQL stops the query in time."""
        self.check()
        if connection.vendor != "postgresql":
            yield
            return
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    # All rows are read. By default PostgreSQL optimises a cursor for the first rows only.
                    cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
                    if self._at != inf:
                        left = max(1, round((self._at - monotonic()) * 1000))
                        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(left)])
                yield
        except OperationalError as error:
            if self._at != inf and isinstance(error.__cause__, QueryCanceled):
                raise DeadlineExceeded from None
            raise

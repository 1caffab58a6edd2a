"""How long a plan may take: a page is given up in time, with a sentence; the command takes as long as it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled


class TooLong(Exception):
    """The history is too long to be read in the time that there is."""


class Deadline:
    """seconds: from now on. Without them, there is none."""

    def __init__(self, seconds: float = inf) -> None:
        self._at = monotonic() + seconds

    def check(self) -> None:
        if monotonic() > self._at:
            raise TooLong

    @contextmanager
    def for_database(self) -> Iterator[None]:
        """Here a long answer is read, row by row, in one transaction. PostgreSQL gives up in time."""
        self.check()
        if connection.vendor != "postgresql":
            yield
            return
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    # All rows will be read. It would rather have the first ones soon, and the last ones far later.
                    cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
                    if self._at != inf:
                        left = max(1, round((self._at - monotonic()) * 1000))
                        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(left)])
                yield
        except OperationalError as error:
            if self._at != inf and isinstance(error.__cause__, QueryCanceled):
                raise TooLong from None
            raise

"""SQLite is for one worker: a second is refused. PostgreSQL is for any number."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection


class WorkerAlreadyRunning(Exception):
    """There is a worker on this SQLite database already."""


@contextmanager
def alone_on_sqlite() -> Iterator[None]:
    """Raises WorkerAlreadyRunning.

    It holds a lock on a file beside the database, which the kernel lets go when this process ends, however it ends.
    """
    if connection.vendor != "sqlite":
        yield
        return
    path = Path(f"{connection.settings_dict['NAME']}.relay-lock")
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkerAlreadyRunning(
                f"A relay is already working on this SQLite database (it holds {path}), and SQLite is for one. Stop it "
                "first, or use PostgreSQL (DATABASE_URL), where any number of relays share the work."
            ) from None
        yield

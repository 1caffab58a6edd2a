"""Refuse a second worker on SQLite. PostgreSQL allows any number of workers."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection


class WorkerAlreadyRunning(Exception):
    """Another worker uses this SQLite database."""


@contextmanager
def alone_on_sqlite() -> Iterator[None]:
    """Hold a lock on a file beside the SQLite database. Raises WorkerAlreadyRunning if another process holds it.

    The kernel releases the lock when this process ends, even after a crash.
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
                f"A relay is already working on this SQLite database (it holds {path}). SQLite allows only one. Stop "
                "it first, or use PostgreSQL (DATABASE_URL), where any number of relays share the work."
            ) from None
        yield

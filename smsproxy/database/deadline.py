"""What waits for the database fails soon when the database does not answer, so that whoever called us is told in time.

There are four ways not to answer, and a limit for each:
- No connection can be made. After one that failed, nobody tries for a second, and then one does: the others fail at
  once instead of waiting for `connect_timeout` each.
- A connection has died since it was last used. What may be done twice is done again, once, over a new one. (Django
  would rather ask the database before each request whether it is there: a query more, for something that happens once
  a month.)
- A connection stays silent: the server is frozen, or the network swallows everything. No timeout of PostgreSQL's helps
  then. A watchdog on our side of the wire cuts the connection when the time is up. (The server notices, too, by
  `client_connection_check_interval`: else its half would live on, and soon there would be no connection left.)
- All answers are slow. Then those who wait in the web server's own queue would be told far too late. So while half of
  this process's threads have been at it for more than a moment, those who come after them fail at once.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

import psycopg
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Seconds: how long nobody tries to connect after it failed; and what counts as "at once" for a dead connection, and as
# slow for an answer.
_PAUSE = 1.0
_SLOW_AFTER = 1.0
# How often the watchdog looks.
_TICK = 0.25
# So many slow ones, of the eight threads in gunicorn.conf.py, and the next ones fail at once.
_MAX_SLOW = 4


class RequestClass(Enum):
    """Who waits for the database. A jam in one lane turns nobody away in another."""

    WEBHOOKS = "webhooks"
    PEOPLE = "people"
    """The API, the admin and all other pages."""


@dataclass
class _Watch:
    lane: RequestClass
    began: float
    due: float
    """float("inf") while something else than the database is waited for."""


_lock = threading.Lock()
_next_trial: float | None = None  # None: the database is there, as far as we know.
_watched: dict[BaseDatabaseWrapper, _Watch] = {}
_watchdog: threading.Thread | None = None


def run_with_deadline(work: Callable[[], None], *, seconds: float) -> None:
    """Do this work of a webhook in the database, for so many seconds at most. It must bear being done twice.

    Raises OperationalError or InterfaceError: the database does not answer. What was done may be committed or not.
    """
    ours = connections[DEFAULT_DB_ALIAS]
    was_connected, start = ours.connection is not None, time.monotonic()
    try:
        _try(work, ours, seconds)
    except (OperationalError, InterfaceError):
        has_just_died = was_connected and ours.connection is None and time.monotonic() - start < _SLOW_AFTER
        if not has_just_died:
            raise
        _try(work, ours, seconds)


@contextmanager
def database_deadline(*, seconds: float) -> Iterator[None]:
    """Here the database is waited for so many seconds at most. Then it fails, as if the connection had been lost.

    Raises OperationalError: it did not answer a moment ago, or too many wait for it.
    """
    ours = connections[DEFAULT_DB_ALIAS]
    if ours.connection is None and _next_trial is not None:
        _connect(ours)
    try:
        with _deadline(ours, seconds, RequestClass.PEOPLE):
            yield
    finally:
        if ours.errors_occurred:
            if ours.connection is None:
                _note_outage()
            _close_broken(ours)


@contextmanager
def deadline_suspended() -> Iterator[None]:
    """In here something else than the database is waited for, outside of any transaction."""
    watch = _watched.get(connections[DEFAULT_DB_ALIAS])
    if watch is None:
        yield
        return
    left, watch.due = watch.due - time.monotonic(), float("inf")
    try:
        yield
    finally:
        watch.due = time.monotonic() + left


def _try(work: Callable[[], None], ours: BaseDatabaseWrapper, seconds: float) -> None:
    # Django's own check is not needed here, see above.
    ours.health_check_done = True  # type: ignore[attr-defined]
    if ours.connection is None:
        _connect(ours)
    try:
        with _deadline(ours, seconds, RequestClass.WEBHOOKS):
            work()
    except (DatabaseError, InterfaceError):
        _close_broken(ours)
        raise


def _close_broken(ours: BaseDatabaseWrapper) -> None:
    """Else Django would ask the database, before the next request and without a deadline, whether it is there."""
    if not ours.in_atomic_block:
        ours.close()


def _connect(ours: BaseDatabaseWrapper) -> None:
    global _next_trial
    with _lock:
        if _next_trial is not None:
            if time.monotonic() < _next_trial:
                raise OperationalError("the database was away a moment ago")
            _next_trial = float("inf")  # We try. Until something comes of it, nobody else does.
    try:
        ours.ensure_connection()
    except BaseException:
        _note_outage()
        raise
    _next_trial = None


def _note_outage() -> None:
    global _next_trial
    _next_trial = time.monotonic() + _PAUSE


@contextmanager
def _deadline(ours: BaseDatabaseWrapper, seconds: float, lane: RequestClass) -> Iterator[None]:
    """Cut this thread's connection if it is still at work in here when the time is up."""
    global _watchdog
    if ours.vendor != "postgresql" or ours in _watched:
        yield  # There is no server that could be silent; or there is a deadline already.
        return
    now = time.monotonic()
    with _lock:
        slow = sum(
            each.lane == lane and each.due != float("inf") and now - each.began > _SLOW_AFTER
            for each in _watched.values()
        )
        if slow >= _MAX_SLOW:
            raise OperationalError("the database is slow, and too many wait for it already")
        _watched[ours] = _Watch(lane, now, now + seconds)
        if _watchdog is None or not _watchdog.is_alive():  # Not alive: this process is a fork of the one that had it.
            _watchdog = threading.Thread(target=_watch, name="watchdog", daemon=True)
            _watchdog.start()
    try:
        yield
    finally:
        with _lock:
            del _watched[ours]


def _watch() -> None:
    while True:
        time.sleep(_TICK)
        with _lock:
            now = time.monotonic()
            late = [theirs for theirs, watch in _watched.items() if watch.due < now]
            for theirs in late:
                _cut(theirs)
        if late:
            _note_outage()


def _cut(theirs: BaseDatabaseWrapper) -> None:
    """End the wait of the thread that has it: its socket says that all is over. The rest is for that thread to do."""
    held = theirs.connection
    with suppress(OSError, psycopg.Error):
        if held is not None:
            with socket.socket(fileno=os.dup(held.pgconn.socket)) as wire:
                wire.shutdown(socket.SHUT_RDWR)

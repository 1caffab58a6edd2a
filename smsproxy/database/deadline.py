"""Fail fast when the database does not answer, so that the caller gets its error response in time.

There are four ways for it not to answer, each with its own limit:
- No connection can be made. After a failure nobody connects for a second, then one thread tries. The other threads
  fail at once instead of waiting for `connect_timeout` each.
- A connection has died since its last use. Work that may be repeated is repeated once, over a new connection. (Django's
  own check would add a query to each request, for an event that happens once a month.)
- A connection stays silent: the server is frozen, or the network drops everything. No timeout of PostgreSQL helps here.
  A watchdog on our side cuts the connection at the deadline. (The server notices by `client_connection_check_interval`.
  Otherwise its side would stay open, and the server would run out of connections.)
- All answers are slow. Requests in the web server's queue would then fail far too late. While half of this process's
  threads wait for slow answers, new requests fail at once.
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
from psycopg.pq import TransactionStatus

# Seconds without a new attempt after a failed connection. Seconds up to which a dead connection fails "at once", and
# after which an answer is slow.
_PAUSE = 1.0
_SLOW_AFTER = 1.0
# Seconds between two checks of the watchdog.
_TICK = 0.25
# New requests fail at once while this many are slow, half of the eight threads in gunicorn.conf.py.
_MAX_SLOW = 4


class RequestClass(Enum):
    """A class of requests. Slow requests in one lane do not make another lane fail."""

    WEBHOOKS = "webhooks"
    PEOPLE = "people"
    """The API, the admin and all other pages."""


@dataclass
class _Watch:
    lane: RequestClass
    began: float
    due: float
    """float("inf") while the thread waits for something other than the database."""


_lock = threading.Lock()
_next_trial: float | None = None  # None: as far as we know the database is up.
_watched: dict[BaseDatabaseWrapper, _Watch] = {}
_watchdog: threading.Thread | None = None


def run_with_deadline(work: Callable[[], None], *, seconds: float) -> None:
    """Do the database work of a webhook within this many seconds. The work must be repeatable.

    Raises OperationalError or InterfaceError if the database does not answer. The work may be committed or not.
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
    """Limit the wait for the database in this block. At the deadline it fails as if the connection were lost.

    Raises OperationalError if the database did not answer a moment ago, or if too many requests wait for it.
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
    """Stop the clock in this block, which waits for something other than the database, outside any transaction."""
    watch, start = _watched.get(connections[DEFAULT_DB_ALIAS]), time.monotonic()
    with deadline_extended(seconds=float("inf")):
        try:
            yield
        finally:
            if watch is not None:
                watch.began += time.monotonic() - start  # Otherwise the request would count as slow after it.


@contextmanager
def deadline_extended(*, seconds: float) -> Iterator[None]:
    """Give this block a deadline of its own, in place of the request's. For work on a large file."""
    watch = _watched.get(connections[DEFAULT_DB_ALIAS])
    if watch is None:
        yield
        return
    start = time.monotonic()
    left, watch.due = watch.due - start, start + seconds
    try:
        yield
    finally:
        watch.due = time.monotonic() + left


def _try(work: Callable[[], None], ours: BaseDatabaseWrapper, seconds: float) -> None:
    # Skip Django's own check: the work is repeated instead.
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
    """Close a broken connection. Otherwise Django would check it before the next request, without a deadline."""
    if not ours.in_atomic_block:
        ours.close()


def _connect(ours: BaseDatabaseWrapper) -> None:
    global _next_trial
    with _lock:
        if _next_trial is not None:
            if time.monotonic() < _next_trial:
                raise OperationalError("the database was unreachable a moment ago")
            _next_trial = float("inf")  # This thread tries. No other does until it has finished.
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
    """Cut this thread's connection if the block waits for the database at the deadline, or later."""
    global _watchdog
    if ours.vendor != "postgresql" or ours in _watched:
        yield  # SQLite has no server that could be silent. Or a deadline is already set.
        return
    now = time.monotonic()
    with _lock:
        slow = sum(
            each.lane == lane and each.due != float("inf") and now - each.began > _SLOW_AFTER
            for each in _watched.values()
        )
        if slow >= _MAX_SLOW:
            raise OperationalError("the database is slow, and too many requests already wait for it")
        _watched[ours] = _Watch(lane, now, now + seconds)
        if _watchdog is None or not _watchdog.is_alive():  # Not alive: a forked process has no watchdog.
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
            cut = [theirs for theirs in late if _cut_if_waiting(theirs)]
        if cut:
            _note_outage()


def _cut_if_waiting(theirs: BaseDatabaseWrapper) -> bool:
    """Shut down the socket if its thread waits for an answer. The thread then fails, and cleans up."""
    held = theirs.connection
    with suppress(OSError, psycopg.Error):
        if held is not None and held.pgconn.transaction_status == TransactionStatus.ACTIVE:
            with socket.socket(fileno=os.dup(held.pgconn.socket)) as wire:
                wire.shutdown(socket.SHUT_RDWR)
            return True
    return False

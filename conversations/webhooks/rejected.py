"""Counting webhooks without a good signature. That is all that is kept of them, and it must cost next to nothing.

The counter is one row for a day and a reason, and a flood of forgeries would have every thread wait for its lock. So a
process writes at most once a second: the first at once, those that follow when the second is over. At a kill -9 the
counts of the last second are lost, and while the database is away all of them are.
"""

import logging
from collections import Counter
from functools import partial
from threading import Lock, Timer

from django.db import DatabaseError, InterfaceError, connections

from conversations.models import RejectedWebhook
from smsproxy.database.deadline import run_with_deadline

log = logging.getLogger(__name__)

_EVERY = 1.0  # seconds
_DATABASE_TIMEOUT = 2.0

_lock = Lock()
_waiting: Counter[tuple[str, str]] = Counter()
_is_paused = False


def count(endpoint: str, reason: str) -> None:
    """One more. Never an error: what the webhook answers is the same without a database."""
    global _is_paused
    with _lock:
        _waiting[endpoint, reason] += 1
        if _is_paused:
            return
        _is_paused = True
    try:
        _write()
        _pause()
    except Exception as error:  # noqa: BLE001 - no thread could be started, say: the next one tries again
        _is_paused = False
        log.warning("rejected webhooks could not be counted: %s", type(error).__name__)


def _pause() -> None:
    # Not a daemon: a process that ends waits for it, and so writes its last counts.
    Timer(_EVERY, _go_on).start()


def _go_on() -> None:
    global _is_paused
    try:
        with _lock:
            if not _waiting:
                _is_paused = False
                return
        _write()
        connections.close_all()  # Those of this short-lived thread.
        _pause()
    except Exception as error:  # noqa: BLE001 - as above
        _is_paused = False
        log.warning("rejected webhooks could not be counted: %s", type(error).__name__)


def _write() -> None:
    with _lock:
        counts = dict(_waiting)
        _waiting.clear()
    try:
        for (endpoint, reason), number in counts.items():
            run_with_deadline(partial(RejectedWebhook.objects.add, endpoint, reason, number), seconds=_DATABASE_TIMEOUT)
    except (DatabaseError, InterfaceError):
        log.warning("rejected webhooks could not be counted")

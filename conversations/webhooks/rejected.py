"""Count webhooks without a good signature. Nothing else is kept of them, and a flood of them must cost next to nothing.

The counter is one row per day, endpoint and reason, and in a flood every thread would wait for its lock. So a process
counts in memory and writes at most once a second. The first rejected webhook after a quiet second is written at once.
Later ones are written by the next webhook, or by a timer two seconds later.

What is in memory is lost if the process is killed. The counts of a write are lost if the database does not answer.
"""

import atexit
import logging
from collections import Counter
from functools import partial
from threading import Lock, Timer
from time import monotonic

from django.db import connections

from conversations.models import RejectedWebhook
from smsproxy.database.deadline import run_with_deadline

log = logging.getLogger(__name__)

_WRITE_INTERVAL = 1.0  # seconds
_DATABASE_TIMEOUT = 2.0  # seconds

_lock = Lock()
_unwritten: Counter[tuple[str, str]] = Counter()
_next_write_at = 0.0  # by monotonic()
_timer: Timer | None = None


def count(endpoint: str, reason: str) -> None:
    """Count one rejected webhook. Never raise: the webhook's answer is the same without a database."""
    with _lock:
        _unwritten[endpoint, reason] += 1
    write_if_due()
    _write_later()


def write_if_due() -> None:
    """Write the counts that are in memory, if there are any and the last write began a second ago. Never raise."""
    global _next_write_at
    if not _unwritten:
        return
    with _lock:
        now = monotonic()
        if now < _next_write_at:
            return
        # Set before the write, so that no other thread writes at the same time.
        _next_write_at = now + _WRITE_INTERVAL
        counts = _take()
    _write(counts)


def _write_later() -> None:
    """Write what is still in memory soon, even if no webhook comes."""
    global _timer
    with _lock:
        if _unwritten and (_timer is None or not _timer.is_alive()):
            _timer = Timer(2 * _WRITE_INTERVAL, _write_and_disconnect)
            _timer.daemon = True
            _timer.start()


def _write_and_disconnect() -> None:
    write_if_due()
    connections.close_all()  # The thread's own.


@atexit.register
def _write_at_exit() -> None:
    with _lock:
        counts = _take()
    if counts:
        _write(counts)
        connections.close_all()


def _take() -> dict[tuple[str, str], int]:
    counts = dict(_unwritten)
    _unwritten.clear()
    return counts


def _write(counts: dict[tuple[str, str], int]) -> None:
    try:
        for (endpoint, reason), number in counts.items():
            run_with_deadline(partial(RejectedWebhook.objects.add, endpoint, reason, number), seconds=_DATABASE_TIMEOUT)
    except Exception as error:  # noqa: BLE001 - a webhook is answered whatever happens to its count
        log.warning("rejected webhooks could not be counted: %s", type(error).__name__)

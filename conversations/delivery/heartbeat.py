"""A worker's heartbeat, which people read, and the check of its clock.

Leases, not heartbeats, recover what a dead worker held.
"""

import logging
import os
import secrets
import socket
import time
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from conversations.models import Worker
from conversations.models.worker import HEARTBEAT

log = logging.getLogger(__name__)

# Seconds by which the clocks of this machine and of the database may differ.
MAX_CLOCK_SKEW = 5.0


class Heartbeat:
    """The heartbeat of one worker. concurrency: the calls that it may have in flight."""

    def __init__(self, concurrency: int) -> None:
        # Host and process number may repeat after a restart.
        self._name = f"{socket.gethostname()}, process {os.getpid()} ({secrets.token_hex(2)})"
        self._concurrency = concurrency
        self._beat_at = float("-inf")
        self._trouble = self._clock_trouble = ""

    def beat(self, in_flight: int, trouble: str) -> bool:
        """Store a heartbeat if one is due or the trouble changed. Return whether the clock is too wrong to work.

        trouble: why the worker sends nothing, or "".
        """
        is_due = time.monotonic() - self._beat_at >= HEARTBEAT
        if is_due:
            self._clock_trouble = _clock_trouble()
        trouble = self._clock_trouble or trouble
        if is_due or trouble != self._trouble:
            self._beat_at, self._trouble = time.monotonic(), trouble
            sign = {
                "seen_at": timezone.now(),
                "in_flight": in_flight,
                "concurrency": self._concurrency,
                "trouble": trouble,
            }
            Worker.objects.update_or_create(name=self._name, defaults=sign)
        return bool(self._clock_trouble)

    def end(self) -> None:
        """Remove this worker from the list. Without a database it falls silent instead, which does no harm."""
        with suppress(DatabaseError, InterfaceError):
            Worker.objects.filter(name=self._name).delete()


def _clock_trouble() -> str:
    """Return how far the clock is off, or "". Log the difference.

    Workers read the leases, waits and rates that other workers wrote, so their clocks must agree.
    """
    if connection.vendor != "postgresql":
        return ""
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [there] = cursor.fetchone()
    here = before + (timezone.now() - before) / 2
    seconds = (here - there).total_seconds()
    if abs(seconds) <= MAX_CLOCK_SKEW:
        return ""
    trouble = f"its clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} that of the database"
    log.error("this worker sends nothing: %s", trouble)
    return trouble

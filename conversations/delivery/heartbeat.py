"""A worker's heartbeat, which people read, and the check of its clock.

Leases, not heartbeats, recover what a dead worker held.
"""

import logging
import os
import secrets
import socket
import time
from contextlib import suppress

from django.db import DatabaseError, InterfaceError

from conversations.models import HostClock, Worker
from conversations.models.host_clock import describe_skew
from conversations.models.worker import HEARTBEAT
from smsproxy.database.clock import DatabaseNow
from smsproxy.version import VERSION

log = logging.getLogger(__name__)

# Seconds by which the clocks of this machine and of the database may differ.
MAX_CLOCK_SKEW = 5.0
# Seconds between two measurements. While the clock is wrong, each heartbeat measures it.
MEASURE_EVERY = 15.0


class Heartbeat:
    """The heartbeat of one worker. concurrency: the calls that it may have in flight."""

    def __init__(self, concurrency: int) -> None:
        # Host and process number may repeat after a restart.
        self._name = f"{socket.gethostname()}, process {os.getpid()} ({secrets.token_hex(2)})"
        self._concurrency = concurrency
        self._beat_at = self._measured_at = float("-inf")
        self._trouble = self._clock_trouble = ""

    def beat(self, in_flight: int, trouble: str) -> bool:
        """Store a heartbeat if one is due or the trouble changed. Return whether the clock is too wrong to work.

        trouble: why the worker sends nothing, or "".
        """
        is_due = time.monotonic() - self._beat_at >= HEARTBEAT
        if is_due and (self._clock_trouble or time.monotonic() - self._measured_at >= MEASURE_EVERY):
            self._measured_at = time.monotonic()
            self._clock_trouble = _clock_trouble()
        trouble = self._clock_trouble or trouble
        if is_due or trouble != self._trouble:
            self._beat_at, self._trouble = time.monotonic(), trouble
            sign = {
                "seen_at": DatabaseNow(),
                "in_flight": in_flight,
                "concurrency": self._concurrency,
                "version": VERSION,
                "trouble": trouble,
            }
            # Without `update_or_create`, which takes four statements, every five seconds.
            if not Worker.objects.filter(name=self._name).update(**sign):
                Worker.objects.create(name=self._name, **sign)
        return bool(self._clock_trouble)

    def end(self) -> None:
        """Remove this worker from the list. Without a database it falls silent instead, which does no harm."""
        with suppress(DatabaseError, InterfaceError):
            Worker.objects.filter(name=self._name).delete()


def _clock_trouble() -> str:
    """Return how far the clock is off, or "". Log the difference.

    The database's clock decides, but a host with a wrong clock is not to be trusted with the time of a lease.
    """
    skew = HostClock.objects.measure()
    if abs(skew) <= MAX_CLOCK_SKEW:
        return ""
    trouble = f"its clock is {describe_skew(skew)}"
    log.error("this worker sends nothing: %s", trouble)
    return trouble

"""The right to run the periodic jobs, which one worker has at a time and renews while it runs them."""

import os
import secrets
import socket
import time
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, connection

from conversations.models import JobLease

# Seconds until another worker takes over from one that was killed, or sleeps, while it ran the jobs.
LEASE = 20.0
# Seconds between two renewals. The rest of the lease is the time for one job.
RENEW_EVERY = 5.0
_NAME = "periodic jobs"


class Lease:
    """The lease for one pass over the jobs."""

    def __init__(self) -> None:
        # Host and process number may repeat after a restart.
        self._holder = f"{socket.gethostname()}, process {os.getpid()} ({secrets.token_hex(4)})"[-200:]
        self._renew_at = float("-inf")

    def is_held(self) -> bool:
        """Return whether this thread may run the next job. Take or renew the lease if that is due.

        A job that takes longer than the lease may overlap with the jobs of another worker, which must do no harm. On
        SQLite only one worker runs.
        """
        if connection.vendor == "sqlite":
            return True
        now = time.monotonic()
        if now < self._renew_at:
            return True
        is_ours = JobLease.objects.take(_NAME, self._holder, LEASE)
        self._renew_at = now + RENEW_EVERY if is_ours else float("-inf")
        return is_ours

    def give_back(self) -> None:
        """Let another worker take over at once. Without a database the lease ends by itself."""
        was_held, self._renew_at = self._renew_at > float("-inf"), float("-inf")
        if was_held:
            with suppress(DatabaseError, InterfaceError):
                JobLease.objects.give_back(_NAME, self._holder)

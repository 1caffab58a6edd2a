"""CPU of a worker that has nothing to send, and of its database connections, as a share of one core."""

import time
from contextlib import suppress

from django.db import connection

from benchmarks.processes import cpu_of
from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from conversations.models import Worker

SECONDS = 120
# Until the start is over: imports, connections, and the first run of each periodic job.
SETTLE = 10


def measure(bench: Bench) -> Measured:
    talking_people(bench.some(CONVERSATIONS))
    with bench.stack() as stack:
        worker = stack.start_worker()
        while not Worker.objects.exists():
            time.sleep(0.1)
        time.sleep(SETTLE)
        before, server, began = worker.cpu(), _Server(), time.monotonic()
        while time.monotonic() < began + (3 if bench.quick else SECONDS):
            time.sleep(1)
            server.look()
        lasted = time.monotonic() - began
        values = {"worker": 100 * (worker.cpu() - before) / lasted, "database": 100 * server.used() / lasted}
    return Measured(values=values, details={"seconds": lasted})


class _Server:
    """The processes of PostgreSQL that serve the worker. They must be on this machine.

    Each is looked at every second, because the worker renews its connections.
    """

    def __init__(self) -> None:
        self._latest: dict[int, float] = {}
        self.look()
        self._before = dict(self._latest)

    def look(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )
            pids = [pid for [pid] in cursor.fetchall()]
        for pid in pids:
            with suppress(FileNotFoundError):  # It has ended since.
                self._latest[pid] = cpu_of(pid)

    def used(self) -> float:
        """Return the seconds of CPU since the start. A new process counts from its own start."""
        return sum(cpu - self._before.get(pid, 0.0) for pid, cpu in self._latest.items())

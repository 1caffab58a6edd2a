"""Write the counts of this process to the database: every few seconds while it counts, and when it exits.

All processes add to the same rows, in the order of the rows' keys, so that they never deadlock. While the database
does not answer, the counts stay in memory. A process that is killed (SIGKILL, power) loses those of the last
INTERVAL seconds. If the answer to a commit is lost, its counts are written a second time.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from django.db import connection, connections

from smsproxy.database.deadline import run_with_deadline

log = logging.getLogger(__name__)

# Name and labels of a row of MetricValue.
Series = tuple[str, str]

INTERVAL = 5.0  # seconds
_DATABASE_TIMEOUT = 2.0  # seconds

_ADD = """
    INSERT INTO metrics_metricvalue AS stored (name, labels, value) VALUES {rows}
    ON CONFLICT (name, labels) DO UPDATE SET value = stored.value + excluded.value
"""


class Flusher:
    """A thread that writes what `take` returns. It starts with the first count and sleeps until the next.

    put_back: adds counts that could not be written to those of the next try.
    """

    def __init__(
        self, take: Callable[[], Mapping[Series, float]], put_back: Callable[[Mapping[Series, float]], None]
    ) -> None:
        self._take, self._put_back = take, put_back
        self._is_failing = False
        self.begin_in_child()
        atexit.register(self._write_at_exit)

    def begin_in_child(self) -> None:
        """Use new locks: a fork may have happened while another thread held the old ones."""
        self._starting, self._writing = threading.Lock(), threading.Lock()
        self._has_counts = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the counts written in INTERVAL seconds. Never raise."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:  # No thread can be started. The next count or the exit tries again.
                    self._thread = None
                    log.warning("the counts for /metrics are not written: %s", error)
        self._has_counts.set()

    def flush(self) -> None:
        """Write the counts now. Never raise: what cannot be written is kept."""
        with self._writing:
            counts = self._take()
            if not counts:
                return
            try:
                run_with_deadline(partial(_add, counts), seconds=_DATABASE_TIMEOUT)
            except Exception as error:  # noqa: BLE001
                self._put_back(counts)
                if not self._is_failing:
                    hint = "Has manage.py migrate been run?"
                    log.warning("the counts for /metrics wait for the database: %s. %s", type(error).__name__, hint)
                self._is_failing = True
            else:
                self._is_failing = False

    def _run(self) -> None:
        while True:
            self._has_counts.wait()
            time.sleep(INTERVAL)
            self._has_counts.clear()
            self.flush()
            connection.close()  # No idle connection between two writes.

    def _write_at_exit(self) -> None:
        self.flush()
        connections.close_all()


def _add(counts: Mapping[Series, float]) -> None:
    rows = ", ".join(["(%s, %s, %s)"] * len(counts))
    parameters = [value for (name, labels), amount in sorted(counts.items()) for value in (name, labels, amount)]
    with connection.cursor() as cursor:
        cursor.execute(_ADD.format(rows=rows), parameters)

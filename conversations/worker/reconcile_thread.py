"""Search the carrier's records from time to time, in a separate thread, as top_up_thread.py does for the pools."""

import logging
import threading

from django.db import connection

from conversations.delivery.reconcile import reconcile
from numbers.provisioning.retry import ShutdownRequested, stop_on

log = logging.getLogger(__name__)

# Seconds between two rounds.
EVERY = 30.0


class ReconcileThread(threading.Thread):
    """A thread that searches until `stop` is set. At most the carrier call in flight is finished then."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="reconcile")
        self._stopping = stop

    def run(self) -> None:
        while not self._stopping.is_set():
            self._round()
            # No idle connection between two rounds.
            connection.close()
            self._stopping.wait(EVERY)

    def _round(self) -> None:
        try:
            with stop_on(self._stopping):
                reconcile()
        except ShutdownRequested:
            pass
        except Exception as error:  # noqa: BLE001
            # Mostly the database is away.
            log.error("searching the carrier's records failed: %s; trying again", type(error).__name__)  # noqa: TRY400

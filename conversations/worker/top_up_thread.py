"""Top up the pools from time to time, in a separate thread.

The thread waits for the carrier without holding a lock, so the periodic jobs and the sending go on.
"""

import logging
import threading

from django.db import connection

from numbers.provisioning.retry import ShutdownRequested, stop_on
from numbers.provisioning.top_up import top_up_all

log = logging.getLogger(__name__)

# Seconds between two rounds of top-ups.
EVERY = 60.0


class TopUpThread(threading.Thread):
    """A thread that tops up until `stop` is set. At most the carrier call in flight is finished then."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="top-up")
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
                top_up_all()
        except ShutdownRequested:
            pass
        except Exception as error:  # noqa: BLE001
            # Mostly the database is away.
            log.error("topping up failed: %s; trying again", type(error).__name__)  # noqa: TRY400

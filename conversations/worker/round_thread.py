"""A thread of the worker that calls the carrier from time to time.

It waits for the carrier without holding a lock, so the periodic jobs and the sending go on.
"""

import logging
import threading

from django.db import connection

from numbers.provisioning.retry import ShutdownRequested, stop_on

log = logging.getLogger(__name__)


class RoundThread(threading.Thread):
    """A thread that does a round of its work until `stop` is set. At most the carrier call in flight is finished then.

    Subclasses name the work, and say how to do it and how many seconds lie between two rounds. They may wait otherwise.
    """

    work: str

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name=self.work)
        self._stopping = stop

    def do_round(self) -> None:
        raise NotImplementedError

    def seconds_between(self) -> float:
        raise NotImplementedError

    def wait(self) -> None:
        """Wait for the next round, or until the worker stops."""
        self._stopping.wait(self.seconds_between())

    def run(self) -> None:
        while not self._stopping.is_set():
            self._round()
            # No idle connection between two rounds.
            connection.close()
            self.wait()

    def _round(self) -> None:
        try:
            with stop_on(self._stopping):
                self.do_round()
        except ShutdownRequested:
            pass
        except Exception as error:  # noqa: BLE001
            # Mostly the database is away.
            log.error("%s failed: %s; trying again", self.work, type(error).__name__)  # noqa: TRY400

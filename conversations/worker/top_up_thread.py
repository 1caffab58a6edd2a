"""The buyer: tops up the pools now and then, beside the sending of texts. It waits for the carrier, so nobody waits for
it: no lock is held meanwhile, and the sweeps go on.
"""

import logging
import threading

from django.db import connection

from numbers.provisioning.retry import ShutdownRequested, stop_on
from numbers.provisioning.top_up import top_up_all

log = logging.getLogger(__name__)

# Seconds between two rounds.
EVERY = 60.0


class Buyer(threading.Thread):
    """Buys until `stop` is set. Then it finishes at most the one call to the carrier that is under way."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="buyer")
        self._stopping = stop

    def run(self) -> None:
        while not self._stopping.is_set():
            self._round()
            # Not kept for a minute of doing nothing.
            connection.close()
            self._stopping.wait(EVERY)

    def _round(self) -> None:
        try:
            with stop_on(self._stopping):
                top_up_all()
        except ShutdownRequested:
            pass
        except Exception as error:  # noqa: BLE001
            # Mostly the database, which is away.
            log.error("topping up failed: %s; trying again", type(error).__name__)  # noqa: TRY400

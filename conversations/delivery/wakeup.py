"""Waking the workers as soon as something is queued. All of it is for speed: a worker that is not woken polls."""

import logging
import threading
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

log = logging.getLogger(__name__)

CHANNEL = "smsproxy_outbox"
# Set when something was queued. A worker in this process waits for it.
wake = threading.Event()

# Seconds: how often to make sure that the connection lives and that nobody has said stop, and how soon to try again
# without one.
_LISTEN = 1.0
_RETRY = 2.0


def wake_workers() -> None:
    """Wake the workers of all processes. Call it after the commit.

    Not within the transaction: PostgreSQL commits transactions with a NOTIFY one after the other. And never an error:
    what was queued is safe already.
    """
    wake.set()
    if connection.vendor == "postgresql":
        with suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


class Listener(threading.Thread):
    """Turns each NOTIFY into a wake-up of this process, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(name="listener", daemon=True)
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(2 * _LISTEN)  # Not for longer: the database may be silent, and there is nothing to lose.

    def run(self) -> None:
        if connection.vendor != "postgresql":
            return
        while not self._stopping.is_set():
            try:
                self._listen()
            except (DatabaseError, InterfaceError, OSError) as error:
                log.warning("not listening for new messages (%s): polling until it works again", type(error).__name__)
                self._stopping.wait(_RETRY)

    def _listen(self) -> None:
        # A connection of its own, which is neither reused nor pooled.
        own = connections.create_connection("default")
        try:
            self._subscribe(own)
            wake.set()  # Something may have been queued while nobody listened.
            while not self._stopping.is_set():
                with own.wrap_database_errors:  # These are not Django's: psycopg's own errors would end the thread.
                    for _ in own.connection.notifies(timeout=_LISTEN):
                        wake.set()
                self._subscribe(own)  # Again, which does nothing but show that the connection lives.
        finally:
            own.close()

    def _subscribe(self, own: BaseDatabaseWrapper) -> None:
        with own.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

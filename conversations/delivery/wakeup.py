"""Wake the workers as soon as a message is queued. This only saves time: a worker that is not woken polls."""

import logging
import threading
from contextlib import suppress

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from smsproxy.database.configuration import open_apart

log = logging.getLogger(__name__)

CHANNEL = "smsproxy_outbox"
_NOTIFY = f"NOTIFY {CHANNEL}".encode()
# Set when a message was queued. The worker in this process waits for it.
wake = threading.Event()

# Seconds: how often the listener sees the request to stop, and how soon it reconnects.
_LISTEN = 1.0
_RETRY = 2.0
# How often it looks for notifications between two checks of its connection. A closed one is noticed at once.
_LOOKS = 10


def wake_workers() -> None:
    """Wake the workers of all processes. Raise nothing: the message is stored. Call it after the commit.

    Within a transaction it would cost: PostgreSQL serialises the commits of transactions with a NOTIFY.
    """
    wake.set()
    if connection.vendor == "postgresql":
        ours = connections[DEFAULT_DB_ALIAS]
        with suppress(DatabaseError, InterfaceError), ours.wrap_database_errors:
            ours.ensure_connection()
            # Without a cursor, which takes four times as long: each inbound message comes here.
            ours.connection.pgconn.exec_(_NOTIFY)


class Listener(threading.Thread):
    """A thread that turns each NOTIFY into a wake-up of this process, until `stop` is called.

    It needs a session of its own. A pooler in transaction mode has none, so without DATABASE_DIRECT_URL the worker
    polls there.
    """

    def __init__(self) -> None:
        super().__init__(name="listener", daemon=True)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop the thread and wait for it briefly."""
        self._stopping.set()
        self.join(2 * _LISTEN)  # Not longer: the database may be silent.

    def run(self) -> None:
        if connection.vendor != "postgresql" or (settings.DATABASE_POOLED and not settings.DATABASE_DIRECT):
            return
        while not self._stopping.is_set():
            try:
                self._listen()
            except (DatabaseError, InterfaceError, OSError) as error:
                log.warning("not listening for new messages (%s): polling until it reconnects", type(error).__name__)
                self._stopping.wait(_RETRY)

    def _listen(self) -> None:
        own = open_apart(settings.DATABASE_DIRECT or settings.DATABASES["default"])
        try:
            self._subscribe(own)
            wake.set()  # Messages may have been queued while this thread did not listen.
            while not self._stopping.is_set():
                for _ in range(_LOOKS):
                    self._look(own)
                self._subscribe(own)  # Repeated only to check the connection.
        finally:
            own.close()

    def _look(self, own: BaseDatabaseWrapper) -> None:
        if self._stopping.is_set():
            return
        with own.wrap_database_errors:  # Otherwise psycopg's own exceptions would end the thread.
            for _ in own.connection.notifies(timeout=_LISTEN):
                wake.set()

    def _subscribe(self, own: BaseDatabaseWrapper) -> None:
        with own.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

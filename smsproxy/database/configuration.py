"""The whole settings of a database for Django: what its URL says, and what this program needs."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

# What a session needs of the server, by the name of the parameter. A direct connection asks for it at its start. A
# pooler refuses that, so behind one the database's role must have it: see docs/database.md.
SESSION = {
    # The server releases the locks of a client that has vanished or sleeps. Otherwise a worker that vanishes during a
    # claim would stop all workers.
    "idle_in_transaction_session_timeout": "30s",
    # The server cancels a query, or a wait for a lock, if the client has disconnected.
    "client_connection_check_interval": "2s",
    # Compiling takes longer than any query here runs.
    "jit": "off",
}
# The server notices within about 20 seconds that the network drops all packets, as its clients do.
_KEEPALIVES = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "3", "tcp_keepalives_count": "3"}

_SQLITE = {
    # Writers queue at BEGIN. Otherwise two that have read and both want to write would fail half-way.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # Readers do not wait for the writer. Each commit still reaches the disk: synchronous=FULL is the default.
    "init_command": "PRAGMA journal_mode=WAL",
}
_POSTGRESQL = {
    # An unreachable database must be noticed before Vonage gives up on the webhook (15 seconds). Webhooks have
    # further deadlines, in smsproxy/database/deadline.py. With several hosts, this is the time for each of them.
    "connect_timeout": 2,
    # Workers and the API notice within about 20 seconds that the network drops all packets: data they sent is not
    # acknowledged (tcp_user_timeout, milliseconds), or the idle connection fails its keepalives.
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}


def complete(database: dict[str, Any], *, is_pooled: bool) -> dict[str, Any]:
    """Return the whole settings of a database. is_pooled: a pooler is between, in transaction mode.

    Raises ImproperlyConfigured.
    """
    if database["ENGINE"] != "django.db.backends.sqlite3":
        return _postgresql(database, is_pooled=is_pooled)
    if is_pooled:
        raise ImproperlyConfigured("DATABASE_POOLED=true: expected PostgreSQL, found SQLite. Remove DATABASE_POOLED.")
    Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    return {**database, "OPTIONS": _SQLITE}


def complete_direct(database: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the whole settings of the connection that bypasses a pooler. Raises ImproperlyConfigured."""
    if database is None:
        return None
    if database["ENGINE"] == "django.db.backends.sqlite3":
        raise ImproperlyConfigured("DATABASE_DIRECT_URL: expected PostgreSQL, found SQLite. Remove it.")
    return _postgresql(database, is_pooled=False)


def open_apart(database: dict[str, Any]) -> BaseDatabaseWrapper:
    """Return a connection that only its caller uses. It connects when it is first used."""
    return ConnectionHandler({DEFAULT_DB_ALIAS: database}).create_connection(DEFAULT_DB_ALIAS)


def _postgresql(database: dict[str, Any], *, is_pooled: bool) -> dict[str, Any]:
    if is_pooled:
        # The next statement may run on another session, which knows neither the prepared statement nor the cursor.
        ours: dict[str, Any] = {"prepare_threshold": None}
    else:
        session = " ".join(f"-c {name}={value}" for name, value in {**SESSION, **_KEEPALIVES}.items())
        # Only smsproxy/database/prepared.py prepares statements. Django's own cursors never do.
        ours = {"options": session, "prepare_threshold": 0}
    return {
        **database,
        "OPTIONS": {**_POSTGRESQL, **ours, **database.get("OPTIONS", {})},
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }

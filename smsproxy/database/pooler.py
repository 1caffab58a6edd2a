"""Check at the start whether the settings suit a pooler, such as PgBouncer, between this host and PostgreSQL.

In transaction mode a pooler runs each transaction on any session. Without DATABASE_POOLED, a statement would then meet
a session that has not prepared it.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from django.conf import settings

from smsproxy.database.configuration import SESSION, open_apart

log = logging.getLogger(__name__)

# Seconds for the whole check. A pooler that has lost its server keeps its clients waiting.
_TIMEOUT = 5.0
# In the first round, the second client gets the session that the first one has just used, unless a third is faster.
_ROUNDS = 5
# Values with which a parameter of SESSION has no effect.
_DISABLED = {"0", "on"}

_SHARED = "expected PostgreSQL itself, found a pooler in transaction mode."
_REFUSED = "expected PostgreSQL itself, found PgBouncer, which refuses the parameters of a direct connection."
_SET_POOLED = "Set DATABASE_POOLED=true. docs/database.md has the rest."


class WrongPooler(Exception):
    """The database cannot be used with these settings. The text says why, and what to do."""


def exit_if_pooler_is_wrong() -> None:
    """End the program with a plain error if the settings do not suit the pooler."""
    try:
        check_pooler(settings.DATABASES["default"], settings.DATABASE_DIRECT, is_pooled=settings.DATABASE_POOLED)
    except WrongPooler as error:
        sys.exit(f"smsproxy cannot start: {error}")


def check_pooler(default: dict[str, Any], direct: dict[str, Any] | None, *, is_pooled: bool) -> None:
    """Raise WrongPooler if the settings do not suit the pooler. Log a warning for what its sessions lack.

    A database that does not answer within _TIMEOUT is no reason to refuse a start: it may come back.
    """
    if default["ENGINE"] == "django.db.backends.sqlite3":
        return
    found: list[WrongPooler] = []

    def check() -> None:
        try:
            _check_default(default, is_pooled=is_pooled)
            if direct:
                _check_direct(direct, default)
        except WrongPooler as error:
            found.append(error)
        except psycopg.Error as error:
            kind = type(error).__name__
            log.warning("the database is unavailable (%s): whether a pooler is in front was not checked", kind)

    # In a thread, because no timeout of the driver ends a query that a pooler holds back.
    thread = threading.Thread(target=check, name="pooler check", daemon=True)
    thread.start()
    thread.join(_TIMEOUT)
    if thread.is_alive():
        log.warning("the database does not answer: whether a pooler is in front was not checked")
    if found:
        raise found[0]


def _check_default(default: dict[str, Any], *, is_pooled: bool) -> None:
    with _connected(default, refused=f"DATABASE_URL: {_REFUSED} {_SET_POOLED}") as session:
        _begin(session)
        session.execute("ROLLBACK")
        _warn_of_missing_parameters(session)
        if not is_pooled and _is_shared(session, default):
            raise WrongPooler(f"DATABASE_URL: {_SHARED} {_SET_POOLED}")


def _check_direct(direct: dict[str, Any], default: dict[str, Any]) -> None:
    with _connected(direct, refused=f"DATABASE_DIRECT_URL: {_REFUSED}") as session:
        if _is_shared(session, direct):
            raise WrongPooler(f"DATABASE_DIRECT_URL: {_SHARED}")
        with _connected(default) as other:
            if _place(session) != _place(other):
                raise WrongPooler("DATABASE_DIRECT_URL: expected the database of DATABASE_URL, found another one.")


def _is_shared(session: psycopg.Connection[Any], database: dict[str, Any]) -> bool:
    """Return whether other clients get the server's session of this connection between its transactions."""
    if _backend(session) == session.info.backend_pid:
        return False  # PostgreSQL itself announces the session's process. A pooler announces a number of its own.
    with _connected(database) as other:
        for _ in range(_ROUNDS):
            before = _backend(session)
            _begin(other)  # Until the end of its transaction, the other keeps the session that it gets.
            if _backend(other) == before or _backend(session) != before:
                return True
            other.execute("ROLLBACK")
    return False


def _begin(session: psycopg.Connection[Any]) -> None:
    try:
        session.execute("BEGIN")
    except psycopg.errors.ProtocolViolation:
        raise WrongPooler(
            "DATABASE_URL: expected a pooler in transaction mode, found one in statement mode, which refuses "
            "transactions. Set pool_mode=transaction in its configuration."
        ) from None


def _warn_of_missing_parameters(session: psycopg.Connection[Any]) -> None:
    rows = session.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(SESSION)])
    missing = [name for name, value in rows if value in _DISABLED]
    if missing:
        fix = " ".join(f"ALTER ROLE CURRENT_USER SET {name} = '{SESSION[name]}';" for name in missing)
        log.warning("the sessions of the database lack %s. Run: %s Then reconnect.", ", ".join(missing), fix)


@contextmanager
def _connected(database: dict[str, Any], *, refused: str = "") -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection of its own. refused: the error if a pooler refuses the parameters of the session."""
    # Nothing is prepared: perhaps the session does not keep it.
    parameters = {**open_apart(database).get_connection_params(), "prepare_threshold": None, "autocommit": True}
    try:
        session = psycopg.connect(**parameters)
    except psycopg.OperationalError as error:
        if refused and "unsupported startup parameter" in str(error):
            raise WrongPooler(refused) from None
        raise
    with closing(session):
        yield session


def _backend(session: psycopg.Connection[Any]) -> int:
    return int(_row(session, "SELECT pg_backend_pid()")[0])


def _place(session: psycopg.Connection[Any]) -> tuple[Any, ...]:
    return _row(session, "SELECT current_database(), pg_postmaster_start_time()")


def _row(session: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    [row] = session.execute(query.encode()).fetchall()
    return tuple(row)

"""The oldest transaction of the database. It keeps dead rows alive, through which each claim must then read."""

from dataclasses import dataclass

from django.db import connection

# Seconds after which a transaction is too old.
TOO_OLD = 900

# Only clients, not backends of the server such as autovacuum. A transaction with neither an id nor a snapshot keeps no
# row alive. One that has written keeps the rows of all databases alive: in others, only those that are too old count.
# Only the server's memory is read, a row for each connection.
_LONGEST = """
SELECT pid, application_name, state, extract(epoch FROM clock_timestamp() - xact_start) AS seconds
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
  AND (
    datname = current_database() AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
    OR backend_xid IS NOT NULL AND xact_start < clock_timestamp() - make_interval(secs => %(too_old)s)
  )
UNION ALL
SELECT NULL, gid, 'prepared', extract(epoch FROM clock_timestamp() - prepared)
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY seconds DESC
LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class LongTransaction:
    """A transaction of some client. seconds: its age.

    pid: its backend, or None for a transaction prepared for two-phase commit, whose state is "prepared". application:
    the name that the client gave itself, or that of the prepared transaction. state: such as "idle in transaction".
    """

    seconds: float
    pid: int | None
    application: str
    state: str


def longest_transaction() -> LongTransaction | None:
    """Return the oldest other transaction that keeps rows of this database alive, or None. Always None on SQLite.

    Without `sees_all_transactions`, only those of our own role count.
    """
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(_LONGEST, {"too_old": TOO_OLD})
        row = cursor.fetchone()
    if row is None:
        return None
    pid, application, state, seconds = row
    return LongTransaction(seconds=float(seconds), pid=pid, application=application, state=state)


def sees_all_transactions() -> bool:
    """Return whether our role sees the transactions of other roles, for which it needs pg_read_all_stats."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")
        [is_member] = cursor.fetchone()
    return bool(is_member)

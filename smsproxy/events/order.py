"""Read events in the order of their ids, and without gaps, although transactions commit in any order.

PostgreSQL draws ids from a sequence, so an event can become visible after one with a higher id. A reader that had gone
on by then would never see it. Therefore each writer holds a lock that tells where its ids begin:

1. A writer reads the sequence's last value L, takes a shared advisory lock whose key is L - 1, and then draws its ids.
   They are above the key. The lock is held until the end of the transaction, and no lock excludes another.
2. A reader reads the sequence's last value R, then the lowest key K that anybody holds. Then, in a new snapshot, it
   returns events up to the lower of R and K.

Suppose that an event with an id up to both is missing in that snapshot. As its id is not above R, it was drawn before
step 2 began, under a lock with a lower key. As its transaction is not in the snapshot, it still held that lock when the
locks were read: PostgreSQL releases locks after a commit is visible. So K is below the id, which contradicts. Hence no
event at or below the end that the reader saw can appear later.

A transaction takes one lock, whatever it writes: a local setting remembers it, and ends with the transaction or the
savepoint, as the lock does. Everything works behind a pooler in transaction mode. A SQLite database has one writer, so
its ids commit in order.
"""

from datetime import datetime

from django.db import connection

from smsproxy.database.clock import database_now, from_stored
from smsproxy.database.prepared import is_postgresql

_SEQUENCE = "events_feedevent_id_seq"
# Keys of this lock: these 16 bits, and 48 bits of the sequence's value.
_PREFIX = 0x534D
_FIRST_KEY = _PREFIX << 48

# For a transaction that writes no other event. The column of this SELECT must be read before the ids are drawn.
HOLD_ONCE = f"pg_advisory_xact_lock_shared({_FIRST_KEY - 1}+last_value)::text AS key FROM {_SEQUENCE}"
HOLD = f"""
    CASE WHEN coalesce(current_setting('smsproxy.feed', true), '') = '' THEN
        pg_advisory_xact_lock_shared({_FIRST_KEY - 1} + last_value)::text || set_config('smsproxy.feed', 'held', true)
    END AS key FROM {_SEQUENCE}
"""

_LAST = f"SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END, clock_timestamp() FROM {_SEQUENCE}"  # noqa: S608
# A bigint key is shown as two numbers of 32 bits. Our own uncommitted events are visible to us.
_LOWEST_KEY = """
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = %s AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_LAST_ON_SQLITE = "SELECT seq FROM sqlite_sequence WHERE name = 'events_feedevent'"


def settled_end() -> tuple[int, datetime]:
    """Return an id up to which no event can appear any more, and the database's time before that was so.

    The caller reads the events in a later statement, and not in a transaction with one snapshot for all.
    """
    with connection.cursor() as cursor:
        if not is_postgresql():
            now = database_now()
            cursor.execute(_LAST_ON_SQLITE)
            row = cursor.fetchone()
            return row[0] if row else 0, now
        cursor.execute(_LAST)
        last, now = cursor.fetchone()
        cursor.execute(_LOWEST_KEY, [_PREFIX])
        [lowest] = cursor.fetchone()
        return last if lowest is None else min(last, lowest), from_stored(now)


def skip_ids(count: int) -> None:
    """Leave out this many ids, so that no event gets one of them. Nothing may write events at the same time."""
    with connection.cursor() as cursor:
        if is_postgresql():
            cursor.execute(f"SELECT setval('{_SEQUENCE}', last_value + %s) FROM {_SEQUENCE}", [count])  # noqa: S608
            return
        cursor.execute("UPDATE sqlite_sequence SET seq = seq + %s WHERE name = 'events_feedevent'", [count])
        if not cursor.rowcount:
            cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events_feedevent', %s)", [count])

"""Month partitions in place of batches: what they would cost, measured on a copy of the tables of outbound messages.

A unique constraint of a partitioned table must hold the month, so it cannot keep `client_ref` or the carrier's id
unique. A plain table beside it must do that. A message found by such an id is looked for in each partition.
"""

import time
from collections.abc import Callable
from statistics import median

from django.db import connection, transaction

from benchmarks.report import Measured
from benchmarks.stack import Bench

MONTHS = 13
ROWS = 1_000_000
TRIALS = 1000
_COLUMNS = "id bigint, client_ref varchar(32), state varchar(20), text text, created_at timestamptz NOT NULL"
_ROW = "md5(i::text), 'sent', repeat('x', 140), '2026-01-01'::timestamptz + i * interval '34 seconds'"
_TABLES = f"""
    DROP TABLE IF EXISTS plain, parted, ids;
    CREATE TABLE plain ({_COLUMNS}, PRIMARY KEY (id), UNIQUE (client_ref));
    CREATE TABLE parted ({_COLUMNS}, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
    CREATE INDEX ON parted (client_ref);
    CREATE TABLE ids (client_ref varchar(32) PRIMARY KEY, message_id bigint);
"""


def measure(bench: Bench) -> Measured:
    rows = bench.some(ROWS)
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        for month in range(MONTHS):
            of_month = f"'2026-01-01'::timestamptz + interval '{month} months'"
            cursor.execute(f"SELECT {of_month}, {of_month} + interval '1 month'")
            cursor.execute(
                f"CREATE TABLE parted_{month} PARTITION OF parted FOR VALUES FROM (%s) TO (%s)", cursor.fetchone()
            )
        for statement in (
            f"INSERT INTO plain SELECT i, {_ROW} FROM generate_series(1, {rows}) AS i",
            f"INSERT INTO parted SELECT i, {_ROW} FROM generate_series(1, {rows}) AS i",
            f"INSERT INTO ids SELECT md5(i::text), i FROM generate_series(1, {rows}) AS i",
        ):
            cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE plain, parted, ids")
        new = "%s, md5('new' || %s), 'sent', repeat('x', 140), '2027-01-20'"
        insert_id = "WITH id AS (INSERT INTO ids SELECT md5('new' || %s), %s RETURNING 1)"
        insert_both = f"{insert_id} INSERT INTO parted SELECT {new} FROM id"
        plain = _times(f"INSERT INTO plain SELECT {new}", lambda i: [rows + i, i])
        both = _times(insert_both, lambda i: [i, rows + i, rows + i, i])
        find = "SELECT id FROM {} WHERE client_ref = md5(%s::text)"
        found = _times(find.format("plain"), lambda i: [i])
        found_in_parts = _times(find.format("parted"), lambda i: [i])
        began = time.perf_counter()
        cursor.execute("DROP TABLE parted_0")
        drop = 1000 * (time.perf_counter() - began)
        cursor.execute("DROP TABLE plain, parted, ids")
    return Measured(
        values={"insert": both / plain, "find": found_in_parts / found, "drop": drop},
        details={
            "ms to insert, plain and partitioned": [plain, both],
            "ms to find by client_ref, plain and partitioned": [found, found_in_parts],
        },
    )


def _times(statement: str, parameters: Callable[[int], list[int]]) -> float:
    """Return the median milliseconds of the statement."""
    taken: list[float] = []
    # In one transaction: the disk is not measured.
    with transaction.atomic(), connection.cursor() as cursor:
        for index in range(1, TRIALS + 1):
            began = time.perf_counter()
            cursor.execute(statement, parameters(index))
            taken.append(1000 * (time.perf_counter() - began))
    return median(taken)

"""The nodes of PostgreSQL's plans, from EXPLAIN (ANALYZE, FORMAT JSON), and the rows that they read."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection, transaction

Node = dict[str, Any]


def nodes_of(plan: Node) -> Iterator[Node]:
    """Yield this node and all nodes below it."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes_of(each)


def rows_read(node: Node) -> int:
    """Return the rows that this node read, in all loops, those that it did not use included."""
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return int(node["Actual Loops"] * sum(node.get(count, 0) for count in counts))


def rows_read_of(table: str, nodes: Sequence[Node]) -> int:
    """Return the rows of this table that these nodes read."""
    return sum(rows_read(node) for node in nodes if node.get("Relation Name") == table)


def run_prepared(statement: str, parameters: dict[str, Any], *, planned: str) -> list[Node]:
    """Run a statement, prepared as the product does, and return the nodes of its plan.

    planned: "custom" (a plan for these values) or "generic" (a plan for any values).
    """
    types = ", ".join("bigint" if isinstance(value, int) else "timestamptz" for value in parameters.values())
    places = {name: f"${place}" for place, name in enumerate(parameters, 1)}
    values = ", ".join(f"%({name})s" for name in parameters)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = force_{planned}_plan")
        cursor.execute(f"PREPARE query ({types}) AS {statement % places}")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE query ({values})", parameters)
        [[[answer]]] = cursor.fetchall()
        cursor.execute("DEALLOCATE query")
    return list(nodes_of(answer["Plan"]))


def forget_statistics(*tables: str) -> None:
    """Drop what PostgreSQL remembers of the rows of earlier tests. Only a superuser may, and it is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone()[0]:
            cursor.execute("DELETE FROM pg_statistic WHERE starelid = ANY(%s::regclass[])", [list(tables)])
            # Autovacuum may have counted the rows of a test that was rolled back.
            counts = "UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE oid = ANY(%s::regclass[])"
            cursor.execute(counts, [list(tables)])


def without_dead_rows(*tables: str) -> None:
    """Empty these tables and those that refer to them, with their indexes, and keep autovacuum from them.

    Pages of deleted rows, or statistics of a half-filled table, would change the plans.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")

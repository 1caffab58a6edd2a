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


def forget_statistics() -> None:
    """Drop what PostgreSQL remembers of the rows of earlier tests, of each table and index. Only a superuser may."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone()[0]:
            ours = "SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            cursor.execute(f"DELETE FROM pg_statistic WHERE starelid IN ({ours})")
            # Autovacuum may have counted the rows of a test that was rolled back.
            cursor.execute(f"UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE relkind = 'r' AND oid IN ({ours})")


def analyze(*tables: str) -> None:
    """Give PostgreSQL statistics of the rows of these tables."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(tables)}")


def without_dead_rows(*tables: str) -> None:
    """Empty these tables and those that refer to them, with their indexes: pages of deleted rows change the plans."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")

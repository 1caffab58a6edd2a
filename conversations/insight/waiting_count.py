"""How much waits for a person, as the door of the inbox shows it. It is counted for each page, so it is bounded."""

from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from conversations.insight.waiting import SCANNED, rows_of, with_is_first
from conversations.models import InboxKind

# The badge counts so far.
MOST_COUNTED = 50


class WaitingCount(NamedTuple):
    """The number of things that wait. is_more: there are more than those counted."""

    number: int
    is_more: bool

    def __str__(self) -> str:
        return f"{self.number}+" if self.is_more else str(self.number)


def waiting_count() -> WaitingCount:
    """Count what waits, with one query that reads at most SCANNED texts, and MOST_COUNTED rows of each other kind."""
    now = timezone.now()  # Only people read it, so a round trip to the database's clock is not worth it.
    texts = with_is_first(rows_of(InboxKind.TEXT, now), now).order_by("-received_at", "-pk").values("is_first")
    counts: list[str] = []
    parameters: list[Any] = []
    for rows, condition in (
        (texts[:SCANNED], "WHERE is_first"),
        (rows_of(InboxKind.UNKNOWN, now).values("pk")[: MOST_COUNTED + 1], ""),
        (rows_of(InboxKind.HOLD, now).values("pk")[: MOST_COUNTED + 1], ""),
    ):
        sql, values = rows.query.sql_with_params()
        counts.append(f"(SELECT count(*) FROM ({sql}) AS waiting {condition})")  # noqa: S608 - the ORM's own
        parameters += values
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {' + '.join(counts)}", parameters)
        [count] = cursor.fetchone()
    return WaitingCount(min(count, MOST_COUNTED), count > MOST_COUNTED)

"""Delete rows that are older than their retention time, table by table, in small batches.

Each table is walked by id from where the last batch stopped, so a batch costs the same in a table of any size, and no
table needs an index for it. Rows that must stay for now are passed over. Once a day a walk begins again at the first
row: by then few rows are left there, and some of them may go.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Q

from conversations.models import RetentionMark
from conversations.retention.rules import RULES, Rule
from smsproxy.database.clock import database_now

BATCH = 500  # rows of one table in one transaction
# Seconds of one pass, so that no other job is delayed, and between two passes after one that found little to do.
TIME_BUDGET = 0.5
REST = 600.0
WALK_AGAIN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Batch:
    """The result of one step of a walk. is_full: more rows may be old."""

    deleted: int
    is_full: bool


class OldRows:
    """The job that deletes old rows. Call it each second: it rests while there is little to do."""

    __name__ = "delete_old_rows"

    def __init__(self, rules: Sequence[Rule] = RULES, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._next = 0  # The rule that the next pass begins with, so that a large table delays no other.
        self._rest_until = 0.0

    def __call__(self) -> int:
        """Delete one batch of each table until the time is up. Return the number of rows deleted."""
        began = self._clock()
        if began < self._rest_until:
            return 0
        deleted, has_more = delete_expired_sessions(), False
        for _ in self._rules:
            batch = delete_batch(self._rules[self._next])
            self._next = (self._next + 1) % len(self._rules)
            deleted, has_more = deleted + batch.deleted, has_more or batch.is_full
            if self._clock() > began + TIME_BUDGET:
                return deleted
        if not has_more:
            self._rest_until = began + REST
        return deleted


def delete_batch(rule: Rule) -> Batch:
    """Walk on by up to BATCH old rows of the table, and delete those of them that may go."""
    if rule.time_kept is None:
        return Batch(0, is_full=False)
    now = database_now()
    before = now - rule.time_kept
    with transaction.atomic():
        mark, _ = RetentionMark.objects.select_for_update(no_key=True).get_or_create(table=rule.table)
        seen = _old_rows(rule, mark.up_to, before)
        is_full = len(seen) == BATCH
        # Rows grow old all the time, so with much traffic hardly any step finds none.
        is_over = not is_full and mark.began_at < now - WALK_AGAIN_AFTER
        if not seen:
            if is_over:
                mark.advance(0, began_at=now)
            return Batch(0, is_full=False)
        may_go = rule.rows.filter(
            rule.released(before), pk__gt=mark.up_to, pk__lte=seen[-1], **{f"{rule.at}__lt": before}
        )
        # A row that another transaction holds is left for the next walk.
        gone = list(
            may_go.order_by("pk").select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
        )
        for model, foreign_key in [*rule.with_it, (rule.model, "pk")]:
            # Without loading the rows, as `delete` would. The database still refuses to leave a row without its owner.
            model._default_manager.filter(**{f"{foreign_key}__in": gone})._raw_delete(connection.alias)
        if is_over:
            mark.advance(0, began_at=now)
        else:
            mark.advance(seen[-1])
    return Batch(len(gone), is_full=is_full)


def _old_rows(rule: Rule, after: int, before: datetime) -> list[int]:
    """Return the ids of the next rows that are old enough. In a table without order: of the next rows, old or not."""
    rows = rule.model._default_manager.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    if not rule.in_order:
        return list(rows[:BATCH])
    is_old = rows.annotate(is_old=Q(**{f"{rule.at}__lt": before})).values_list("pk", "is_old")
    return [pk for pk, _ in takewhile(lambda row: row[1], is_old[:BATCH])]


def delete_expired_sessions() -> int:
    """Delete sessions of staff that have expired. Return their count."""
    expired = Session.objects.filter(expire_date__lt=database_now()).values_list("pk", flat=True)
    return Session.objects.filter(pk__in=list(expired[:BATCH])).delete()[0]

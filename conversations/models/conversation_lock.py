"""The lock of a conversation, and the order of locks: people, then conversations by their ids, then messages.

One order everywhere prevents deadlocks. Messages are queued under the conversation's lock, so they become visible in
the order of their ids. And nothing is queued once `Conversation.close` has returned.

`Conversation.lock` locks one conversation and reloads it. `Conversation.objects.lock` locks several. An inbound text
finds its conversation and locks it in one query: `Participant.objects.find_author`, and fast_path.py on PostgreSQL.
"""

from collections.abc import Iterable
from typing import Self, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


class LockableQuerySet(models.QuerySet[Row]):
    def locked(self, *, skip_locked: bool = False) -> Self:
        """Lock these rows as they are read, in the one order, until the transaction ends.

        skip_locked: leave out rows that another transaction holds.
        """
        return self.select_for_update(no_key=True, skip_locked=skip_locked).order_by("pk")

    def lock(self, pks: Iterable[int | None]) -> None:
        """Lock the rows with these ids until the transaction ends."""
        wanted = {pk for pk in pks if pk is not None}
        if wanted:
            list(self.filter(pk__in=wanted).locked().values_list("pk"))

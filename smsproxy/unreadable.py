"""Rows that none of our keys decrypts: noted as they are read, so that people learn of them.

Such a row stops no query: its field is an `Unreadable` (crypto.py). The model UnreadableRow stores what was noted.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Any, Self

from django.db import models

from smsproxy.crypto import Unreadable

# Rows that this process has met and not stored yet, and their maximum.
_met: set[tuple[str, int]] = set()
_MAX_MET = 1000


class EncryptedRow(models.Model):
    """A row with an EncryptedTextField. It is noted if it is read and cannot be decrypted."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> Self:
        row = super().from_db(db, field_names, values, **options)
        if any(isinstance(value, Unreadable) for value in values):
            note_unreadable(cls, row.pk)
        return row


def note_unreadable(model: type[models.Model], pk: int) -> None:
    """Note that this row cannot be decrypted. `take_unreadable_rows` returns it."""
    if len(_met) < _MAX_MET:
        _met.add((model._meta.db_table, pk))


def take_unreadable_rows() -> list[tuple[str, int]]:
    """Return the table and the id of the rows noted since the last call."""
    taken = []
    with suppress(KeyError):  # Another thread may take the last one.
        while _met:
            taken.append(_met.pop())
    return sorted(taken)

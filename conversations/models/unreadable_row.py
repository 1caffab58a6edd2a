"""Rows that cannot be decrypted, as far as a process has met them."""

import logging
from collections import defaultdict

from django.apps import apps
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from smsproxy.crypto import Unreadable
from smsproxy.database.clock import DatabaseNow
from smsproxy.unreadable import EncryptedRow, take_unreadable_rows

log = logging.getLogger(__name__)


class UnreadableRowQuerySet(models.QuerySet["UnreadableRow"]):
    def store_met(self) -> int:
        """Store and log which unreadable rows this process has met since the last call. Return how many are new."""
        met = take_unreadable_rows()
        if not met:
            return 0
        stored = self.filter(row_id__in=[pk for _, pk in met]).values_list("table", "row_id")
        new = sorted(set(met) - set(stored))
        UnreadableRow.objects.bulk_create(
            (UnreadableRow(table=table, row_id=pk) for table, pk in new), ignore_conflicts=True
        )
        for table, pk in new[:1]:
            log.error(
                "%d rows cannot be decrypted, such as row %s of %s: add the key that encrypted them to ENCRYPTION_KEYS",
                len(new),
                pk,
                table,
            )
        return len(new)

    def recheck(self, most: int) -> int:
        """Read the rows again that were checked longest ago. Forget those that are readable or gone; return how many.

        most: rows to read.
        """
        by_table: dict[str, list[UnreadableRow]] = defaultdict(list)
        for noted in self.order_by("checked_at", "pk")[:most]:
            by_table[noted.table].append(noted)
        readable = [noted for table, rows in by_table.items() for noted in _readable(table, rows)]
        checked = self.filter(pk__in=[noted.pk for rows in by_table.values() for noted in rows])
        checked.update(checked_at=DatabaseNow())
        return self.filter(pk__in=[noted.pk for noted in readable]).delete()[0]


class UnreadableRow(models.Model):
    """A row that none of our keys can decrypt. It is forgotten when a key can."""

    table = models.CharField(max_length=60)
    row_id = models.BigIntegerField()
    met_at = models.DateTimeField(default=timezone.now)
    checked_at = models.DateTimeField(default=timezone.now)

    objects = UnreadableRowQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["table", "row_id"], name="unreadable_row_once")]

    def __str__(self) -> str:
        return _("row %(id)s of %(table)s") % {"id": self.row_id, "table": self.table}


def _readable(table: str, rows: "list[UnreadableRow]") -> "list[UnreadableRow]":
    """Return those of these rows of one table that can be decrypted, or that are gone."""
    encrypted = [model for model in apps.get_models() if issubclass(model, EncryptedRow)]
    pks = [row.row_id for row in rows]
    found: dict[int, EncryptedRow] = {}
    for model in encrypted:
        if model._meta.db_table == table:
            found = model._default_manager.in_bulk(pks)
    return [row for row in rows if not _is_unreadable(found.get(row.row_id))]


def _is_unreadable(row: models.Model | None) -> bool:
    return row is not None and any(isinstance(value, Unreadable) for value in vars(row).values())

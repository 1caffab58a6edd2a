"""How far the deletion of old rows has come."""

from datetime import datetime

from django.db import models

from smsproxy.database.clock import database_now


class RetentionMark(models.Model):
    """One row for each table with a retention time. Its walk goes on from there, and never searches the whole table."""

    table = models.CharField(max_length=60)
    up_to = models.BigIntegerField(default=0, help_text="The last id that the present walk has seen.")
    began_at = models.DateTimeField(default=database_now, help_text="When the present walk began at the first row.")

    class Meta:
        ordering = ["table"]
        # Not `unique=True`, which adds a second index for LIKE on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["table"], name="one_retention_mark")]

    def __str__(self) -> str:
        return self.table

    def advance(self, up_to: int, *, began_at: datetime | None = None) -> None:
        """Store the last id seen. began_at: a new walk begins then."""
        self.up_to, self.began_at = up_to, began_at or self.began_at
        self.save(update_fields=["up_to", "began_at"])

"""How far the erasing of old texts has come."""

from django.db import models


class TextErasure(models.Model):
    """One row for each table with texts. The job continues from there, and never searches the whole table."""

    table = models.CharField(max_length=60, unique=True)
    up_to = models.BigIntegerField(default=0, help_text="The last id whose text is erased, like all before it.")

    class Meta:
        ordering = ["table"]

    def __str__(self) -> str:
        return self.table

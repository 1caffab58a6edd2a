"""A table lock, for decisions that depend on rows which another transaction may be inserting."""

from django.db import connection, models


def lock_table(model: type[models.Model]) -> None:
    """Block all other writers of the table until this transaction ends. Wait for those that have begun.

    For rare, short transactions only. On SQLite the transaction itself does this: it has one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {connection.ops.quote_name(model._meta.db_table)} IN SHARE ROW EXCLUSIVE MODE")

"""A lock for decisions that hang on rows which another transaction may be inserting."""

from django.db import connection, models


def lock_table(model: type[models.Model]) -> None:
    """Wait until nobody is writing to the table, and let nobody begin, until this transaction ends.

    For rare, short transactions only. On SQLite the transaction itself does that: writers come one by one.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {connection.ops.quote_name(model._meta.db_table)} IN SHARE ROW EXCLUSIVE MODE")

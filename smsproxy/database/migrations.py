"""Whether the database has the migrations that this code expects."""

from collections.abc import Set
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

Migration = tuple[str, str]


def are_missing() -> bool:
    """Return whether the database lacks migrations of this code. One query.

    It may have newer ones: they leave the old code able to work while an upgrade is under way.
    """
    return bool(_of_code() - _of_database())


def describe_difference() -> str:
    """Return how the migrations of the database and of this code differ, as a sentence. "": they fit. One query."""
    applied, expected = _of_database(), _of_code()
    if missing := expected - applied:
        return f"Migrations that the database lacks: {_some(missing)}. Run manage.py migrate."
    apps = {app for app, _ in expected}
    if newer := {each for each in applied - expected if each[0] in apps}:
        return f"The database has migrations that this code does not know: {_some(newer)}. Deploy the newer code."
    return ""


def _of_database() -> set[Migration]:
    return set(MigrationRecorder(connection).applied_migrations())


@cache
def _of_code() -> frozenset[Migration]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def _some(migrations: Set[Migration]) -> str:
    names = [f"{app}.{name}" for app, name in sorted(migrations)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""`manage.py migrate`: Django's, which gives up if it waits too long for a lock on PostgreSQL.

A change of a table waits until no transaction uses it, and everything that comes later waits behind the change. So one
long transaction, such as a report, would let a migration stop all traffic.
"""

from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

from smsproxy.arguments import argument
from smsproxy.values import whole_number

DEFAULT_TIMEOUT = 3  # seconds; a webhook waits up to 5


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-timeout",
            type=argument(partial(whole_number, least=1)),
            default=DEFAULT_TIMEOUT,
            metavar="SECONDS",
            help="on PostgreSQL, give up after waiting this long for a lock, during which all traffic on that table "
            f"waits, too (default {DEFAULT_TIMEOUT})",
        )

    def handle(self, *args: Any, lock_timeout: int = DEFAULT_TIMEOUT, **options: Any) -> None:
        self._connection = connections[options["database"]]
        self._timeout = lock_timeout
        try:
            super().handle(*args, **options)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            self.stdout.write()  # Ends the line "Applying …".
            raise CommandError(
                f"The migration waited {lock_timeout} seconds for a lock and gave up, so that traffic goes on. What it "
                "had changed is undone; the migrations before it are kept. A long transaction uses the table: see "
                "pg_stat_activity, ordered by xact_start. End it, or wait, and run `manage.py migrate` again. "
                "--lock-timeout lets it wait longer."
            ) from error
        finally:
            self._set_timeout(0)

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        super().migration_progress_callback(action, migration, fake)
        if action in ("apply_start", "unapply_start"):
            # A migration without a transaction builds its index beside the traffic: its waits stop nobody.
            self._set_timeout(self._timeout if migration.atomic else 0)

    def _set_timeout(self, seconds: int) -> None:
        # After a failed statement within the caller's transaction, the transaction ends and its settings with it.
        if self._connection.vendor == "postgresql" and not self._connection.needs_rollback:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{seconds}s'")

"""`manage.py after_restore`: make a database restored from a backup safe, before workers and web server start."""

import sys
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from conversations.delivery.after_restore import distrust_unsent
from conversations.delivery.opt_out import opt_out
from conversations.models import Worker
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand
from numbers.models import RealNumber
from smsproxy.database.clock import database_now
from smsproxy.phone import NotE164, parse_e164
from smsproxy.states import StaleState

_REASON = "texted STOP after the backup that was restored"


class Command(PoolCommand):
    help = (
        "Run it after the database was restored from a backup, before the workers and the web server start. Messages "
        "that were waiting then may have been sent since: they are left to staff, and nothing is sent twice. Opts out "
        "the people who texted STOP since the backup, if their numbers are given. Then runs sync_numbers. "
        "docs/backup.md says what remains."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--opted-out",
            type=Path,
            metavar="FILE",
            help="real numbers, one a line in E.164, that texted STOP since the backup; “-”: standard input",
        )
        parser.add_argument("--yes", action="store_true", help="skip the confirmation")

    def handle(self, *, opted_out: Path | None, yes: bool, **options: Any) -> None:
        if Worker.objects.alive(database_now()).exists():
            raise CommandError(
                "Nothing was done: a worker is alive, or was within the last seconds. Stop all workers, wait 20 "
                "seconds, and run it again.",
                returncode=ExitCode.USAGE,
            )
        numbers = _numbers_in(opted_out) if opted_out else []
        self.confirm("Leave every message that waits to staff, because it may have been sent?", yes=yes)
        done = distrust_unsent()
        self.stdout.write(
            f"{done.messages} messages were waiting: their outcome is unknown now, and staff decide.\n"
            f"{done.long_messages} long messages were incomplete: they are not relayed."
        )
        if opted_out:
            self.stdout.write(f"{_opt_out_all(numbers)} of {len(numbers)} people are newly opted out.")
        else:
            self.stdout.write(
                self.style.WARNING(
                    "People who texted STOP since the backup are not opted out. Get their numbers from the carrier's "
                    "records, and run this again with --opted-out, before you start a worker."
                )
            )
        call_command("sync_numbers", stdout=self.stdout, stderr=self.stderr)


def _numbers_in(path: Path) -> list[str]:
    """Return the numbers in the file. Raises CommandError, which names a wrong line but not its number."""
    try:
        lines = (sys.stdin.read() if str(path) == "-" else path.read_text()).splitlines()
    except OSError as error:
        raise CommandError(f"Nothing was done: {path} cannot be read ({error.strerror}).", returncode=2) from None
    numbers = []
    for place, line in enumerate(lines, start=1):
        if line.strip():
            try:
                numbers.append(parse_e164(line.strip()))
            except NotE164 as error:
                raise CommandError(f"Nothing was done: line {place} of {path}: {error}.", returncode=2) from None
    return list(dict.fromkeys(numbers))


def _opt_out_all(numbers: list[str]) -> int:
    """Opt these people out, known or not, and cancel what waits for them. Return how many had not opted out."""
    count = 0
    for person in {row.pk: row for row in RealNumber.objects.get_or_create_many(numbers).values()}.values():
        try:
            opt_out(person, reason=_REASON)
        except StaleState:
            continue
        count += 1
    return count

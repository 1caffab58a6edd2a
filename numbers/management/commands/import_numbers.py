"""Bring numbers in from CSV, and set what it says of those in the pool."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tablib import Dataset

from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand
from numbers.models import NumberState, VirtualNumber
from numbers.spreadsheet.csv_file import MOST_BYTES, Unreadable
from numbers.spreadsheet.import_numbers import NumberCSV, NumberResource


class Command(PoolCommand):
    help = (
        "Bring in numbers that are rented already, from a CSV file with a column “number”, and set pool, reserved, "
        "type, can_text, monthly_cost and rate of those in the pool as it says. Shows what changes, and asks. If one "
        "row is wrong, nothing is imported. Buys, cancels and deletes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="such as manage.py export_numbers writes")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, file: Path, dry_run: bool, yes: bool, **options: Any) -> None:
        table = self._read(file)
        preview = self._import(table, dry_run=True)
        for entry in preview.entries:
            self.stdout.write(str(entry))
        self.stdout.write(f"{preview.summary}.")
        if not preview.entries:
            return
        if dry_run:
            self.stdout.write("Nothing was imported: --dry-run.")
            return
        self.confirm("Import this?", yes=yes)
        self._import(table, previewed=preview.fingerprint)
        waiting = VirtualNumber.objects.filter(state=NumberState.CONFIGURING).count()
        next_step = f" {waiting} to be pointed at us: manage.py configure_numbers." if waiting else ""
        self.stdout.write(self.style.SUCCESS(f"Imported.{next_step}"))

    def _read(self, file: Path) -> Dataset:
        try:
            with file.open("rb") as opened:
                return NumberCSV().create_dataset(opened.read(MOST_BYTES + 1))
        except OSError as error:
            raise CommandError(f"Cannot read {file}: {error.strerror}.", returncode=ExitCode.USAGE) from None
        except Unreadable as error:
            raise CommandError(f"Nothing was imported. {error}", returncode=ExitCode.USAGE) from None

    def _import(self, table: Dataset, **options: Any) -> Any:
        result = NumberResource().import_data(table, **options)
        if result.has_errors():
            for fault in result.faults:
                self.stderr.write(fault)
            raise CommandError(f"Nothing was imported: {len(result.faults)} to put right.", returncode=ExitCode.USAGE)
        return result

"""Import numbers from CSV."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand
from numbers.models import NumberState, VirtualNumber
from numbers.spreadsheet.csv_file import MAX_BYTES, InvalidCsv, Rows
from numbers.spreadsheet.import_numbers import PreviewOutdated, apply, preview, read


class Command(PoolCommand):
    help = (
        "Import numbers that are already rented from a CSV file with a column “number”, and set pool, reserved, type, "
        "can_text, monthly_cost and rate of numbers in the pool. Shows the changes and asks for confirmation. If one "
        "row is wrong, nothing is imported. Buys, cancels and deletes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="such as manage.py export_numbers writes")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--yes", action="store_true", help="skip the confirmation")

    def handle(self, *, file: Path, dry_run: bool, yes: bool, **options: Any) -> None:
        rows = self._read(file)
        found = preview(rows)
        if found.faults:
            for fault in found.faults:
                self.stderr.write(fault)
            raise CommandError(f"Nothing was imported: fix {len(found.faults)} cells.", returncode=ExitCode.USAGE)
        for entry in found.entries:
            self.stdout.write(str(entry))
        self.stdout.write(f"{found.summary}.")
        if not found.entries:
            return
        if dry_run:
            self.stdout.write("Nothing was imported: --dry-run.")
            return
        self.confirm("Import this?", yes=yes)
        try:
            apply(rows, previewed=found.fingerprint)
        except PreviewOutdated as error:
            raise CommandError(f"Nothing was imported. {error}", returncode=ExitCode.USAGE) from None
        waiting = VirtualNumber.objects.filter(state=NumberState.CONFIGURING).count()
        next_step = f" {waiting} not configured yet: run manage.py configure_numbers." if waiting else ""
        self.stdout.write(self.style.SUCCESS(f"Imported.{next_step}"))

    def _read(self, file: Path) -> Rows:
        try:
            with file.open("rb") as opened:
                return read(opened.read(MAX_BYTES + 1))
        except OSError as error:
            raise CommandError(f"Cannot read {file}: {error.strerror}.", returncode=ExitCode.USAGE) from None
        except InvalidCsv as error:
            raise CommandError(f"Nothing was imported. {error}", returncode=ExitCode.USAGE) from None

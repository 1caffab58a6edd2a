"""Compare the pool with what the carrier says that we rent."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, numbers_text
from numbers.models import VirtualNumber
from numbers.provisioning.sync import sync
from smsproxy.text_table import line


class Command(PoolCommand):
    help = (
        "Bring in numbers that are rented already, and tell where the carrier and the pool differ: numbers cancelled "
        "at the carrier, or pointed elsewhere. Those it mends only with --fix. Buys and cancels nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fix",
            action="store_true",
            help="mend it: point at us what is pointed elsewhere or not configured, take out of service what is gone",
        )

    def handle(self, *, fix: bool, **options: Any) -> None:
        counted = Counter[str]()
        drift = 0
        for finding in sync(fix=fix):
            self.stdout.write(line([finding.number, f"{finding.kind}: {finding.detail}"], widths=[17]))
            counted[finding.kind] += 1
            drift += finding.is_drift
        told = ", ".join(f"{count} {kind}" for kind, count in counted.items()) or "no difference"
        ours = VirtualNumber.objects.ours().count()
        summary = f"{numbers_text(ours)} {'is' if ours == 1 else 'are'} ours; {told}."
        if drift:
            raise CommandError(f"{summary} Put right what is said above.", returncode=ExitCode.DRIFT)
        self.stdout.write(self.style.SUCCESS(summary))

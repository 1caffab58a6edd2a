"""Compare the pool with the numbers that the carrier rents to us."""

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
        "Add numbers that are already rented, and list the differences between the carrier and the pool: numbers "
        "cancelled at the carrier, or with another webhook. Only --fix repairs those. Buys and cancels nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fix",
            action="store_true",
            help="repair: set wrong or missing webhooks, and take numbers that are gone out of service",
        )

    def handle(self, *, fix: bool, **options: Any) -> None:
        counted = Counter[str]()
        drift = 0
        for finding in sync(fix=fix):
            self.stdout.write(line([finding.number, f"{finding.kind}: {finding.detail}"], widths=[17]))
            counted[finding.kind] += 1
            drift += finding.is_drift
        told = ", ".join(f"{count} {kind}" for kind, count in counted.items()) or "no difference"
        ours = VirtualNumber.objects.rented().count()
        summary = f"{numbers_text(ours)} {'is' if ours == 1 else 'are'} ours; {told}."
        if drift:
            raise CommandError(f"{summary} Fix the differences above.", returncode=ExitCode.DRIFT)
        self.stdout.write(self.style.SUCCESS(summary))

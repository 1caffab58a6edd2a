"""`manage.py doctor`: try everything that can be tried of this installation."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from conversations.insight.doctor.examine import examine
from conversations.insight.doctor.result import Verdict
from smsproxy.text_table import line

_WIDTHS = (11, 19)
_FIX = " " * sum(_WIDTHS)


class Command(BaseCommand):
    # The checks are among what it tries.
    requires_system_checks: list[str] = []
    help = (
        "Try everything that can be tried of this installation: settings, database, clock, the account at the carrier, "
        "the webhooks at PUBLIC_URL as the carrier calls them, workers. It sends no text, changes no number, and "
        "costs nothing without --paid. Exit codes: 0 nothing failed, although there may be warnings; 1 a check failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the results as JSON")
        parser.add_argument("--paid", action="store_true", help="also make one lookup, which may cost money")

    def handle(self, *, paid: bool, **options: Any) -> None:
        results = {}
        for name, result in examine(is_paid=paid):
            results[name] = result
            if not options["json"]:
                self.stdout.write(line([result.verdict, name, result.detail], widths=_WIDTHS))
                if result.fix:
                    self.stdout.write(f"{_FIX}→ {result.fix}")
        if options["json"]:
            found = [{"check": name, **asdict(result)} for name, result in results.items()]
            self.stdout.write(json.dumps(found, indent=2))
        counts = {verdict: sum(each.verdict == verdict for each in results.values()) for verdict in Verdict}
        if counts[Verdict.FAILED]:
            raise CommandError(f"{counts[Verdict.FAILED]} of {len(results)} checks failed.", returncode=1)
        if not options["json"]:
            self.stdout.write(f"Nothing failed: {', '.join(f'{count} {name}' for name, count in counts.items())}.")

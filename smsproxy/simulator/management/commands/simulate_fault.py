"""`manage.py simulate_fault`: make the simulated network fail a given number of times."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from smsproxy.simulator.models import FaultKind, SimulatedFault, Verb


class Command(BaseCommand):
    help = "Make the next uses of a verb of the simulated carrier fail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "verb", choices=Verb.values, metavar="VERB", help=f"the operation that fails: {', '.join(Verb.values)}"
        )
        parser.add_argument(
            "kind", choices=FaultKind.values, metavar="KIND", help=f"how it fails: {', '.join(FaultKind.values)}"
        )
        parser.add_argument(
            "--times", type=int, default=1, metavar="N", help="the number of uses that fail (default 1)"
        )

    def handle(self, *, verb: str, kind: str, times: int, **options: Any) -> None:
        if settings.CARRIER != "simulator":
            raise CommandError(f"CARRIER is {settings.CARRIER}: only the simulator fails on request.")
        if not 1 <= times <= 1_000_000:
            raise CommandError(f"--times: expected 1 to 1000000, found {times}.")
        fault = SimulatedFault(verb=verb, kind=kind, remaining=times)
        try:
            fault.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        fault.save()
        self.stdout.write(f"The next {times} calls of {verb} fail: {kind}.")

"""Set the webhook of numbers."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from numbers.management.arguments import number
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, get_numbers
from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.configure import configure
from numbers.provisioning.step import StepKind
from smsproxy.webhook_urls import inbound_sms_url


class Command(PoolCommand):
    help = (
        "Set the inbound webhook of numbers to PUBLIC_URL: of numbers that were bought and not configured, of the "
        "numbers named, or of all."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("numbers", nargs="*", type=number, metavar="NUMBER", help="E.164, such as +447700900500")
        parser.add_argument("--all", action="store_true", help="all our numbers, after a change of PUBLIC_URL")

    def handle(self, *, numbers: list[str], all: bool, **options: Any) -> None:
        chosen = self._choose(numbers, all)
        if not chosen:
            self.stdout.write("Nothing to do: no number is waiting to be configured.")
            return
        self.stdout.write(f"Setting the webhook of {len(chosen)} to {inbound_sms_url()}")
        failures = 0
        with self.progress(len(chosen)) as progress:
            for step in configure(chosen):
                is_failure = step.kind == StepKind.NOT_CONFIGURED
                failures += is_failure
                line = f"not configured: {step.detail}" if is_failure else "its messages reach us"
                progress.log(f"{step.number} {line}", is_trouble=is_failure)
                progress.advance()
        if failures:
            raise CommandError(
                f"{failures} of {len(chosen)} could not be configured. Does PUBLIC_URL answer from outside? Then run "
                "this command again.",
                returncode=ExitCode.NOT_CONFIGURED,
            )
        self.stdout.write(self.style.SUCCESS(f"{len(chosen)} of {len(chosen)} configured; their messages reach us."))

    def _choose(self, numbers: list[str], all: bool) -> list[VirtualNumber]:
        if numbers and all:
            raise CommandError("Expected numbers or --all, found both.", returncode=ExitCode.USAGE)
        if not numbers:
            ours = VirtualNumber.objects.rented()
            return list(ours if all else ours.filter(state=NumberState.CONFIGURING))
        chosen = get_numbers(numbers)
        for each in chosen:
            if not each.is_rented:
                raise CommandError(
                    f"Nothing was done: {each} is not ours, its state is {each.get_state_display()}. If the carrier "
                    "says otherwise, run manage.py sync_numbers.",
                    returncode=ExitCode.USAGE,
                )
        return chosen

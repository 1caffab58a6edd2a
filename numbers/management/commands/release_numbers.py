"""Release numbers: cancel them at the carrier."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from numbers.management.arguments import number
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, cost_text, get_numbers
from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.release import CannotRelease, release, use_of


class Command(PoolCommand):
    help = (
        "Cancel numbers at the carrier. Refuses numbers that still serve conversations, open or cooling down. A "
        "cancelled number may go to another customer of the carrier, and may not be available again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("numbers", nargs="*", type=number, metavar="NUMBER", help="E.164, such as +447700900500")
        parser.add_argument("--retired", action="store_true", help="all numbers that are retired and still rented")
        parser.add_argument("--dry-run", action="store_true", help="show what would be released, and release nothing")
        parser.add_argument("--yes", action="store_true", help="skip the confirmation")

    def handle(self, *, numbers: list[str], retired: bool, dry_run: bool, yes: bool, **options: Any) -> None:
        picked = self._pick(numbers, retired)
        if not picked:
            self.stdout.write("Nothing to do: no retired number is rented any more.")
            return
        chosen = [each for each in picked if not self._is_released(each)]
        free = [each for each in chosen if not self._is_in_use(each)]
        for each in free:
            cost = "is unknown" if each.monthly_cost is None else f"of {cost_text(each.monthly_cost)} a month ends"
            self.stdout.write(f"{each} will be cancelled; its cost {cost}")
        stuck = len(chosen) - len(free)
        if dry_run:
            self.stdout.write("Nothing was released: --dry-run.")
        elif free:
            self.confirm(f"Cancel {len(free)} for good?", yes=yes)
            stuck += len(free) - self._release(free)
        if stuck:
            raise CommandError(f"{stuck} of {len(picked)} cannot be released.", returncode=ExitCode.PARTIAL)

    def _pick(self, numbers: list[str], retired: bool) -> list[VirtualNumber]:
        if bool(numbers) == retired:
            found = "both" if numbers else "neither"
            raise CommandError(f"Expected numbers or --retired, found {found}.", returncode=ExitCode.USAGE)
        return (
            list(VirtualNumber.objects.rented().filter(state=NumberState.RETIRED)) if retired else get_numbers(numbers)
        )

    def _is_released(self, each: VirtualNumber) -> bool:
        is_released = each.state == NumberState.RETIRED and not each.is_rented
        if is_released:
            self.stdout.write(f"{each} is released already")
        return is_released

    def _is_in_use(self, each: VirtualNumber) -> bool:
        use = use_of(each)
        if use:
            self.stderr.write(f"{each} cannot be released: {use}")
        return bool(use)

    def _release(self, free: list[VirtualNumber]) -> int:
        released = 0
        with self.progress(len(free)) as progress:
            for each in free:
                try:
                    release(each)
                except CannotRelease as error:
                    progress.log(f"{each} cannot be released: {error}", is_trouble=True)
                else:
                    released += 1
                    progress.log(f"{each} is released")
                progress.advance()
        return released

"""The base of the pool commands: confirmation, progress and errors."""

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from numbers.management.exit_codes import EPILOG, ExitCode
from numbers.models import VirtualNumber
from smsproxy.carriers.base import AccountFault, CarrierError


class PoolCommand(BaseCommand):
    again = "run the same command again: it resumes where it stopped"
    """What the operator does once the cause is fixed."""

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EPILOG, **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. Each carrier error ends in a message that says what to do."""
        try:
            return super().execute(*args, **options)
        except AccountFault as error:
            raise CommandError(
                f"The carrier rejects the whole account: {_told(error)}. Fix that (manage.py check may say more), then "
                f"{self.again}.",
                returncode=ExitCode.CARRIER,
            ) from error
        except CarrierError as error:
            raise CommandError(
                f"The carrier request failed: {_told(error)}. {self.again.capitalize()}.",
                returncode=ExitCode.CARRIER,
            ) from error
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {self.again.capitalize()}.", returncode=ExitCode.CARRIER) from None

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask, and raise CommandError unless the answer is yes. Without a terminal, --yes is required."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(
                "Nothing was done: no terminal to ask on. Add --yes to skip the question.", returncode=ExitCode.USAGE
            )
        self.stdout.write(f"{question} [y/N] ", ending="")
        self.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done: the answer was not yes.", returncode=ExitCode.USAGE)

    def progress(self, total: int, begun: int = 0) -> "Progress":
        return Progress(self, total, begun)


class Progress:
    """A progress bar on a terminal, otherwise a line for each step."""

    def __init__(self, command: BaseCommand, total: int, begun: int) -> None:
        self._command = command
        # disable=None shows the bar only on a terminal. The bar is on stderr, so stdout can be piped.
        self._bar = tqdm(total=total, initial=begun, unit="number", disable=None, dynamic_ncols=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()

    def log(self, line: str, *, is_trouble: bool = False) -> None:
        """Show a line. On a terminal the bar replaces it, unless it is trouble."""
        if self._bar.disable:
            self._command.stdout.write(line)
            self._command.stdout.flush()
        elif is_trouble:
            with tqdm.external_write_mode():
                self._command.stdout.write(line)
        else:
            self._bar.set_postfix_str(line, refresh=True)

    def advance(self) -> None:
        self._bar.update()


def numbers_text(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def cost_text(cost: Decimal | None) -> str:
    return "unknown" if cost is None else f"EUR {cost:.2f}"


def total_text(costs: Sequence[Decimal | None]) -> str:
    """Return the total in words, with the count of numbers whose cost is not known."""
    known = [cost for cost in costs if cost is not None]
    unknown = len(costs) - len(known)
    if not known and unknown:
        return "unknown: the carrier does not say"
    total = f"EUR {sum(known, Decimal(0)):.2f} a month"
    return f"{total}, and {unknown} whose cost the carrier does not say" if unknown else total


def get_numbers(wanted: list[str]) -> list[VirtualNumber]:
    """Return these numbers of the pool. Raises CommandError for a number that is not in the pool."""
    found = VirtualNumber.objects.by_number(wanted)
    if missing := [name for name in wanted if name not in found]:
        raise CommandError(
            f"Nothing was done: not in the pool: {', '.join(missing)}. manage.py sync_numbers adds numbers that "
            "are already rented.",
            returncode=ExitCode.USAGE,
        )
    return [found[name] for name in dict.fromkeys(wanted)]


def _told(error: CarrierError) -> str:
    return f"{error.detail} (code {error.code})" if error.code else error.detail

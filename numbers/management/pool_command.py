"""What the pool's commands share: how they ask, how they show progress, and how they fail."""

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
    again = "run the same command again: it goes on where it stopped"
    """What to do once it can go on."""

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EPILOG, **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Every fault of the carrier ends as a message that says what to do."""
        try:
            return super().execute(*args, **options)
        except AccountFault as error:
            raise CommandError(
                f"The carrier turns the whole account down: {_told(error)}. Put that right (manage.py check may know "
                f"more), then {self.again}.",
                returncode=ExitCode.CARRIER,
            ) from error
        except CarrierError as error:
            raise CommandError(
                f"The carrier did not do it: {_told(error)}. {self.again.capitalize()}.",
                returncode=ExitCode.CARRIER,
            ) from error
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {self.again.capitalize()}.", returncode=ExitCode.CARRIER) from None

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if somebody says yes. Without a terminal there is nobody to ask."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(
                "Nothing was done: there is no terminal to ask on. Say --yes to go ahead.", returncode=ExitCode.USAGE
            )
        self.stdout.write(f"{question} [y/N] ", ending="")
        self.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done: the answer was not yes.", returncode=ExitCode.USAGE)

    def progress(self, total: int, begun: int = 0) -> "Progress":
        return Progress(self, total, begun)


class Progress:
    """A bar on a terminal, a line for each step elsewhere."""

    def __init__(self, command: BaseCommand, total: int, begun: int) -> None:
        self._command = command
        # disable=None: tqdm's own word for "not on a terminal". The bar is on stderr, so stdout can be piped.
        self._bar = tqdm(total=total, initial=begun, unit="number", disable=None, dynamic_ncols=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()

    def tell(self, line: str, *, is_trouble: bool = False) -> None:
        """The line is left out where the bar says as much: trouble is always told."""
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
    """What all of them cost together, honest about those whose cost is not known."""
    known = [cost for cost in costs if cost is not None]
    unknown = len(costs) - len(known)
    if not known and unknown:
        return "unknown: the carrier does not say"
    total = f"EUR {sum(known, Decimal(0)):.2f} a month"
    return f"{total}, and {unknown} whose cost the carrier does not say" if unknown else total


def pick(wanted: list[str]) -> list[VirtualNumber]:
    """The numbers of the pool with these names. A wrong name stops the command before it does anything."""
    found = VirtualNumber.objects.in_bulk(wanted, field_name="number")
    if missing := [name for name in wanted if name not in found]:
        raise CommandError(
            f"Nothing was done: not in the pool: {', '.join(missing)}. manage.py sync_numbers brings in numbers that "
            "are rented already.",
            returncode=ExitCode.USAGE,
        )
    return [found[name] for name in dict.fromkeys(wanted)]


def _told(error: CarrierError) -> str:
    return f"{error.detail} (code {error.code})" if error.code else error.detail

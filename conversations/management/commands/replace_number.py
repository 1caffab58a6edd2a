"""Give everybody who talks through a virtual number another one."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from conversations.lifecycle.replace_number import Preview, preview, replace
from numbers.management.arguments import number
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, pick
from numbers.models import NumberState, VirtualNumber


class Command(PoolCommand):
    help = (
        "Take a virtual number out of service and give everybody in its open conversations another one. Each is told "
        "so by a text from the new number (REPLACED_NOTICE); it shows how many that are, and asks first. What they "
        "text to the old number still arrives, until its cool-down is over; then it retires itself. Stopped at any "
        "point and run again, it goes on with those who are left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", type=number, metavar="NUMBER", help="E.164, such as +447700900500")
        parser.add_argument(
            "--with",
            dest="successors",
            nargs="+",
            type=number,
            default=[],
            metavar="NUMBER",
            help="the numbers that take its place, the first that is free for each person (default: any of the pool)",
        )
        parser.add_argument("--dry-run", action="store_true", help="show what it would do, and do nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, number: str, successors: list[str], dry_run: bool, yes: bool, **options: Any) -> None:
        [old] = pick([number])
        others = pick(successors)
        self._refuse_nonsense(old, others)
        planned = preview(old, others)
        self._show(old, planned)
        if dry_run:
            self.stdout.write("Nothing was done: --dry-run.")
        else:
            self.confirm(f"Replace {old}?", yes=yes)
            stuck = self._replace(old, others, planned)
            if stuck:
                raise CommandError(
                    f"{stuck} of them have no other number yet. Add some, then run the same command again.",
                    returncode=ExitCode.FEWER,
                )
            self.stdout.write(self.style.SUCCESS(f"Nobody in an open conversation needs {old} any more."))
        if dry_run and planned.stuck:
            raise CommandError(f"There is no other number for {planned.stuck} of them.", returncode=ExitCode.FEWER)

    def _refuse_nonsense(self, old: VirtualNumber, others: list[VirtualNumber]) -> None:
        if old.state in (NumberState.ORDERED, NumberState.RETIRED):
            raise CommandError(f"{old} serves nobody: it is {old.get_state_display()}.", returncode=ExitCode.USAGE)
        for other in others:
            if other == old or other.state != NumberState.ACTIVE or not other.can_sms:
                raise CommandError(
                    f"{other} cannot take the place of {old}: expected another number, active and able to text; it is "
                    f"{other.get_state_display()}.",
                    returncode=ExitCode.USAGE,
                )

    def _show(self, old: VirtualNumber, planned: Preview) -> None:
        self.stdout.write(f"{old} is {old.get_state_display()}.")
        self.stdout.write(
            f"  {planned.people - planned.stuck} of {planned.people} people would be given another number"
        )
        if settings.REPLACED_NOTICE:
            texts = "1 text" if planned.texts == 1 else f"{planned.texts} texts"
            self.stdout.write(f"  {texts}, {planned.sms} SMS, would tell them: {settings.REPLACED_NOTICE}")
        else:
            self.stdout.write("  nobody would be told: REPLACED_NOTICE is empty")
        if planned.cooling:
            self.stdout.write(f"  {planned.cooling} pairs of ended conversations stay until they have cooled down")

    def _replace(self, old: VirtualNumber, others: list[VirtualNumber], planned: Preview) -> int:
        stuck = 0
        with self.progress(planned.people) as progress:
            for moved in replace(old, others):
                who = f"conversation {moved.participant.conversation.public_id}, {moved.participant.name}"
                stuck += moved.to is None
                told = f"has {moved.to}" if moved.to else f"stays: {moved.why}"
                progress.tell(f"{who} {told}", is_trouble=moved.to is None)
                progress.advance()
        return stuck

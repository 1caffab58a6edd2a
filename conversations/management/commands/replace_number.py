"""Replace a virtual number in all of its conversations."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from conversations.lifecycle.replace_number import ReplacementPreview, preview, replace
from numbers.management.arguments import number
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, get_numbers
from numbers.models import NumberState, VirtualNumber


class Command(PoolCommand):
    help = (
        "Take a virtual number out of service and give everyone in its open conversations another one. Each person "
        "gets a notice from the new number: REPLACED_NOTICE, or the text of the service. The command shows the number "
        "of people and asks first. "
        "Messages to the old number are still relayed until its cool-down ends, and then it retires itself. If the "
        "command is interrupted, run it again to continue."
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
            help="replacement numbers; each person gets the first that is free (default: any of the pool)",
        )
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *, number: str, successors: list[str], dry_run: bool, yes: bool, **options: Any) -> None:
        [old] = get_numbers([number])
        others = get_numbers(successors)
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
                    f"{stuck} of them have no other number yet. Add numbers, then run the same command again.",
                    returncode=ExitCode.PARTIAL,
                )
            self.stdout.write(self.style.SUCCESS(f"No open conversation uses {old} any more."))
        if dry_run and planned.stuck:
            raise CommandError(f"No other number is free for {planned.stuck} of them.", returncode=ExitCode.PARTIAL)

    def _refuse_nonsense(self, old: VirtualNumber, others: list[VirtualNumber]) -> None:
        if old.state in (NumberState.ORDERED, NumberState.RETIRED):
            raise CommandError(f"{old} is not in use: it is {old.get_state_display()}.", returncode=ExitCode.USAGE)
        for other in others:
            if other == old or other.state != NumberState.ACTIVE or not other.can_sms:
                raise CommandError(
                    f"{other} cannot replace {old}: expected another number, active and able to send SMS; it is "
                    f"{other.get_state_display()}.",
                    returncode=ExitCode.USAGE,
                )

    def _show(self, old: VirtualNumber, planned: ReplacementPreview) -> None:
        self.stdout.write(f"{old} is {old.get_state_display()}.")
        self.stdout.write(f"  {planned.people - planned.stuck} of {planned.people} people would get another number")
        if planned.texts:
            texts = "1 notice" if planned.texts == 1 else f"{planned.texts} notices"
            self.stdout.write(f"  {texts}, {planned.sms} SMS, would be sent")
        else:
            self.stdout.write("  no notice would be sent: its text is empty, or they have opted out")
        if planned.cooling:
            self.stdout.write(f"  {planned.cooling} pairs of ended conversations stay until their cool-down ends")

    def _replace(self, old: VirtualNumber, others: list[VirtualNumber], planned: ReplacementPreview) -> int:
        stuck = 0
        with self.progress(planned.people) as progress:
            for moved in replace(old, others):
                who = f"conversation {moved.participant.conversation.public_id}, {moved.participant.name}"
                stuck += moved.to is None
                told = f"has {moved.to}" if moved.to else f"stays: {moved.why}"
                progress.log(f"{who} {told}", is_trouble=moved.to is None)
                progress.advance()
        return stuck

"""Show which conversation a message would reach now, and why."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rest_framework.utils.encoders import JSONEncoder

from conversations.insight.explain_route import ConversationFound, ParticipantView, RouteExplanation, explain_route
from conversations.management.number_argument import HOW_TO_HIDE, number_argument


class Command(BaseCommand):
    help = (
        "Show the outcome that a message from a person's number to a virtual number would have now, and why. Nothing "
        f"is recorded. FROM may be {HOW_TO_HIDE} Exit code 0: it would be relayed; 3: it would not; 2: wrong usage."
    )

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        usage = f"{prog_name} {subcommand} [-h] [--json] FROM TO"
        return super().create_parser(prog_name, subcommand, usage=usage, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        # Counted here, because the error of argparse would repeat surplus arguments, such as a number with spaces.
        parser.add_argument(
            "numbers", nargs="*", metavar="FROM TO", help="E.164: a person's number, and a virtual number"
        )
        parser.add_argument(
            "--json", action="store_true", help="print JSON for programs, as GET /api/v1/routes/explain/ returns"
        )

    def handle(self, *, numbers: list[str], json: bool, **options: Any) -> None:
        if len(numbers) != 2:
            raise CommandError(
                f"Expected two numbers, FROM and TO, found {len(numbers)}. Quote a number that contains spaces.",
                returncode=2,
            )
        sender, recipient = (number_argument(*each) for each in zip(numbers, ("FROM", "TO"), strict=True))
        found = explain_route(sender, recipient)
        self.stdout.write(_as_json(found) if json else "\n".join(_lines(found)))
        if not found.is_passed_on:
            raise CommandError(f"It would not be relayed: {found.outcome.label}.", returncode=3)


def _as_json(found: RouteExplanation) -> str:
    return json.dumps(asdict(found), cls=JSONEncoder, indent=2)


def _lines(found: RouteExplanation) -> Iterator[str]:
    yield f"{found.outcome.label.upper()}: {found.why}"
    number = found.virtual_number
    if number is not None:
        yield f"  number        {number.number}, {number.status}, {_pool(number.pool)}"
    yield f"  sender        {'known' if found.sender_is_known else 'not known'}"
    if found.conversation is not None:
        yield f"  conversation  {_conversation(found.conversation)}"
    if found.author is not None:
        yield f"  written by    {_place(found.author)}"
    for recipient in found.recipients:
        yield f"  goes to       {_place(recipient)}"
    if found.cools_down_until is not None:
        yield f"  cools down    until {found.cools_down_until:%Y-%m-%d %H:%M} UTC"
    if found.last is not None:
        yield f"  stood for     {_conversation(found.last.conversation)}, until {found.last.until:%Y-%m-%d %H:%M} UTC"
    for way in found.ways:
        yield f"  could text    {way.number}, for conversation {way.conversation_id}"


def _conversation(conversation: ConversationFound) -> str:
    reference = f" “{conversation.reference}”" if conversation.reference else ""
    return f"{conversation.id}{reference}, {conversation.status}, {_pool(conversation.pool)}"


def _place(place: ParticipantView) -> str:
    label = f" ({place.label})" if place.label else ""
    return f"participant {place.position}{label}, whose proxy number is {place.proxy_number}"


def _pool(name: str | None) -> str:
    return f"pool {name}" if name else "common pool"

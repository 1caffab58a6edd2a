"""Show which virtual numbers people would get in a new conversation, and why."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rest_framework.utils.encoders import JSONEncoder

from conversations.lifecycle.choose_numbers import ChosenNumber
from conversations.lifecycle.create import dry_run
from conversations.lifecycle.request import (
    CannotCreate,
    ContentionError,
    ConversationSpec,
    NoNumberFree,
    ParticipantSpec,
)
from conversations.management.number_argument import HOW_TO_HIDE, number_argument
from conversations.models.conversation import MAX_PARTICIPANTS
from numbers.assignment.choose import Preference
from numbers.assignment.policy import ExhaustionPolicy, Geography, Stickiness, policy_of
from numbers.management.arguments import find_pool
from numbers.models import Pool
from smsproxy.text_table import line

WHY: Mapping[Preference, str] = {
    Preference.NAMED: "the request names it",
    Preference.LAST_USED: "they used it in their last conversation with the same person",
    Preference.OWN_AREA: "it is from their own area",
    Preference.OWN_REGION: "it is from their own state or province",
    Preference.OWN_COUNTRY: "it is from their own country",
    Preference.OTHER_COUNTRY: "no number of their own country is free, and the policy allows other countries",
    Preference.ANY: "the policy ignores countries",
    Preference.COOL_DOWN_CUT: "all other numbers are used up: the cool-down of this one would be cut short",
    Preference.SIDE: "the other members of their side have it",
    Preference.REPLACEMENT: "it replaces another of their numbers",
}


class Command(BaseCommand):
    help = (
        "Show which virtual numbers these people would get in a new conversation now and why, or what is missing. "
        "Nothing is created, and no lookup is paid for. Each PERSON is a number in E.164, or "
        f"{HOW_TO_HIDE} Exit code 0: each gets a number; 3: no number is free for one of them; 2: wrong usage."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("people", nargs="*", metavar="PERSON", help=f"2 to {MAX_PARTICIPANTS} of them")
        parser.add_argument("--pool", type=find_pool, default=None, metavar="NAME", help="default: the common pool")
        parser.add_argument("--geography", choices=list(Geography), help="default: NUMBER_GEOGRAPHY")
        parser.add_argument("--stickiness", choices=list(Stickiness), help="default: NUMBER_STICKINESS")
        parser.add_argument("--on-exhausted", choices=list(ExhaustionPolicy), help="default: ON_EXHAUSTED")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(
        self,
        *,
        people: list[str],
        pool: Pool | None,
        geography: str | None,
        stickiness: str | None,
        on_exhausted: str | None,
        json: bool,
        **options: Any,
    ) -> None:
        if not 2 <= len(people) <= MAX_PARTICIPANTS:
            raise CommandError(f"Expected 2 to {MAX_PARTICIPANTS} people, found {len(people)}.", returncode=2)
        asked = [ParticipantSpec(number=number_argument(text, f"PERSON {place}")) for place, text in enumerate(people)]
        try:
            policy = policy_of(pool, geography=geography, stickiness=stickiness, on_exhausted=on_exhausted)
            chosen = dry_run(asked, ConversationSpec(policy=policy))
        except NoNumberFree as error:
            if json:
                self._write_json({"code": error.code, "detail": error.for_operator, **error.figures})
            else:
                self.stdout.write(
                    "\n".join(line([name, str(value)], widths=[17]) for name, value in error.figures.items())
                )
            raise CommandError(f"Participant {error.position}: {error.for_operator}.", returncode=3) from None
        except CannotCreate as error:
            raise CommandError(f"Participant {error.position}: {error.for_operator}.", returncode=2) from None
        except ContentionError:
            raise CommandError("Concurrent requests took every free number. Run the command again.") from None
        if json:
            self._write_json({"participants": [_figures(each) for each in chosen]})
        else:
            self.stdout.write("\n".join(_lines(chosen)))

    def _write_json(self, found: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(found, cls=JSONEncoder, indent=2))


def _lines(chosen: Sequence[ChosenNumber]) -> list[str]:
    return [
        line(
            [
                f"participant {position}",
                each.number.number,
                each.number.country,
                f"{each.preference}: {_why(each)}",
            ],
            widths=[15, 17, 4],
        )
        for position, each in enumerate(chosen)
    ]


def _why(each: ChosenNumber) -> str:
    ended = f", of conversation {each.cut_short.conversation.public_id}" if each.cut_short else ""
    return f"{WHY[each.preference]}{ended}"


def _figures(each: ChosenNumber) -> dict[str, Any]:
    return {
        "proxy_number": each.number.number,
        "proxy_country": each.number.country,
        "chosen_by": each.preference,
        "why": WHY[each.preference],
        "cuts_short": each.cut_short.conversation.public_id if each.cut_short else None,
    }

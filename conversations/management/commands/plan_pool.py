"""How many numbers a pool needs, until when those that it has will do, and what that costs."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from conversations.management import plan_table
from conversations.management.plan_json import as_data
from conversations.planning import question_values
from conversations.planning.plan import DEFAULT_DAYS, Question, make_plan
from numbers.management import arguments
from numbers.models import Pool


class Command(BaseCommand):
    help = (
        "Tell how many numbers a pool needs for the people of each country, from what they did; why; until when those "
        "that it has will do; what another cool-down would change; and what it costs. Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--pool", type=arguments.find_pool, default=None, metavar="NAME", help="(default: the common pool)"
        )
        parser.add_argument(
            "--country",
            type=arguments.country,
            default=None,
            help="only the people of this one, two letters, such as GB (default: all)",
        )
        parser.add_argument(
            "--growth",
            type=arguments.argument(question_values.growth),
            default=None,
            metavar="PERCENT",
            help="a month, compounding (default: as the history grows)",
        )
        parser.add_argument(
            "--cool-down",
            type=arguments.argument(question_values.seconds),
            default=None,
            metavar="SECONDS",
            help="tell what this cool-down would change, beside those of 1, 3, 7 and 14 days",
        )
        parser.add_argument(
            "--days",
            type=arguments.argument(question_values.days),
            default=DEFAULT_DAYS,
            help=f"of history, of which today is the last (default: {DEFAULT_DAYS})",
        )
        parser.add_argument("--json", action="store_true", help="for programs, and with every day of the history")

    def handle(
        self,
        *,
        pool: Pool | None,
        country: str | None,
        growth: Decimal | None,
        cool_down: timedelta | None,
        days: int,
        json: bool,
        **options: Any,
    ) -> None:
        plan = make_plan(Question(pool=pool, country=country, growth=growth, cool_down=cool_down, days=days))
        self.stdout.write(_as_json(as_data(plan)) if json else "\n".join(plan_table.lines(plan)))


def _as_json(data: dict[str, Any]) -> str:
    return json.dumps(data, cls=DjangoJSONEncoder, indent=2)

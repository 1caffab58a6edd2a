"""Forecast how many numbers a pool needs, when they run out, and what they cost."""

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
from smsproxy.arguments import argument


class Command(BaseCommand):
    help = (
        "Forecast from the history how many numbers a pool needs for the people of each country, and why. Also shows "
        "when the numbers run out, what another cool-down would change, and the cost. Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--pool", type=arguments.find_pool, default=None, metavar="NAME", help="(default: the common pool)"
        )
        parser.add_argument(
            "--country",
            type=arguments.country,
            default=None,
            help="only the people of this country, two letters, such as GB (default: all)",
        )
        parser.add_argument(
            "--growth",
            type=argument(question_values.growth),
            default=None,
            metavar="PERCENT",
            help="a month, compounding (default: the trend of the history)",
        )
        parser.add_argument(
            "--cool-down",
            type=argument(question_values.seconds),
            default=None,
            metavar="SECONDS",
            help="compare this cool-down too, besides 1, 3, 7 and 14 days",
        )
        parser.add_argument(
            "--days",
            type=argument(question_values.days),
            default=DEFAULT_DAYS,
            help=f"days of history, ending today (default: {DEFAULT_DAYS})",
        )
        parser.add_argument(
            "--json", action="store_true", help="print JSON for programs, with every day of the history"
        )

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

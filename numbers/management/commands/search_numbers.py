"""List numbers for rent."""

from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser

from numbers.management.arguments import add_query_arguments, count
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, cost_text
from numbers.provisioning.retry import search
from smsproxy.carriers.base import Feature, NumberQuery, NumberType, PatternPosition
from smsproxy.text_table import line


class Command(PoolCommand):
    help = "List numbers that the carrier has for rent, with the monthly cost in EUR. Buys nothing."
    again = "search again"

    def add_arguments(self, parser: CommandParser) -> None:
        add_query_arguments(parser)
        parser.add_argument("--limit", type=count, default=20, help="the most numbers to list (default: 20)")

    def handle(
        self,
        *,
        country: str,
        features: frozenset[Feature],
        type: NumberType | None,
        pattern: str,
        pattern_place: PatternPosition,
        limit: int,
        **options: Any,
    ) -> None:
        query = NumberQuery(country=country, features=features, type=type, pattern=pattern, pattern_place=pattern_place)
        found = 0
        for number in islice(search(query), limit):
            found += 1
            capable = ",".join(sorted(number.features))
            cost = cost_text(number.monthly_cost)
            self.stdout.write(line([number.number, number.type or "unknown", capable, cost], widths=[17, 11, 15]))
        if not found:
            raise CommandError("The carrier has no such number for rent.", returncode=ExitCode.PARTIAL)
        if found == limit:
            self.stderr.write(f"The carrier may have more than these {limit}: raise --limit to list more.")

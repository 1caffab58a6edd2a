"""Buy virtual numbers and set their webhook."""

from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError, CommandParser

from numbers.management.arguments import add_query_arguments, count, euros, find_pool
from numbers.management.exit_codes import ExitCode
from numbers.management.pool_command import PoolCommand, cost_text, numbers_text, total_text
from numbers.models import NumberOrder, NumberState, OrderState, Pool
from numbers.provisioning.order import OrderSpec, PurchasePlan, find_or_open_order, fulfil, order_for, plan
from numbers.provisioning.step import StepKind
from smsproxy.carriers.base import Feature, NumberType, PatternPosition
from smsproxy.text_table import INDENT, line

_WORDS = {
    StepKind.BOUGHT: "bought",
    StepKind.REFUSED: "not sold to us",
    StepKind.CONFIGURED: "its messages reach us",
    StepKind.NOT_CONFIGURED: "bought, but its messages do not reach us yet",
}


class Command(PoolCommand):
    help = (
        "Buy numbers and set their webhook to PUBLIC_URL. Shows what it will buy and the monthly cost in EUR, and asks "
        "for confirmation. Stopped at any point and run again with the same arguments, it resumes, and buys no more "
        "than requested."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_query_arguments(parser)
        parser.add_argument("--count", type=count, required=True, help="count of numbers to buy, 1 to 1000")
        parser.add_argument(
            "--max-monthly-cost",
            type=euros,
            help="the most that one number may cost, EUR a month; excludes numbers of unknown cost",
        )
        parser.add_argument(
            "--pool", type=find_pool, metavar="NAME", help="the pool of the new numbers (default: the common pool)"
        )
        parser.add_argument(
            "--again",
            action="store_true",
            help="buy as many more, even if the same order has ended within the last hour",
        )
        parser.add_argument("--dry-run", action="store_true", help="show what would be bought, and buy nothing")
        parser.add_argument("--yes", action="store_true", help="skip the confirmation")

    def handle(
        self,
        *,
        country: str,
        count: int,
        features: frozenset[Feature],
        type: NumberType | None,
        pattern: str,
        pattern_place: PatternPosition,
        max_monthly_cost: Decimal | None,
        pool: Pool | None,
        again: bool,
        dry_run: bool,
        yes: bool,
        **options: Any,
    ) -> None:
        spec = OrderSpec(
            country=country,
            count=count,
            features=features,
            type=type,
            pattern=pattern,
            pattern_place=pattern_place,
            max_monthly_cost=max_monthly_cost,
            pool=pool,
        )
        planned = plan(order_for(spec, again=again))
        self._show(planned)
        is_open = planned.order.state == OrderState.OPEN
        if is_open and not planned.begun and not planned.candidates:
            raise CommandError("Nothing to buy: the carrier has no such number for rent.", returncode=ExitCode.PARTIAL)
        if dry_run:
            self.stdout.write("Nothing was bought: --dry-run.")
            if planned.missing > 0:
                raise CommandError("The carrier has fewer numbers than requested.", returncode=ExitCode.PARTIAL)
            return
        if planned.costs:
            self.confirm(f"Buy {len(planned.costs)}?", yes=yes)
        elif is_open:
            self.confirm("Resume this order?", yes=yes)
        order = find_or_open_order(spec, again=again)
        self._fulfil(order, planned)
        self._sum_up(order)

    def _show(self, planned: PurchasePlan) -> None:
        order, begun = planned.order, planned.begun
        if order.state != OrderState.OPEN:
            self.stdout.write(f"Order {order.pk} for exactly this has just ended. To buy as many more, add --again.")
        elif begun:
            self.stdout.write(f"Resuming order {order.pk}, which is not finished.")
        if begun:
            self.stdout.write("Numbers that it already has:")
            for number in begun:
                cells = [number.number, cost_text(number.monthly_cost), _standing(number.state)]
                self.stdout.write(INDENT + line(cells, widths=[17, 11]))
        if planned.candidates:
            asked = f"{order.count} requested{f', for the pool {order.pool}' if order.pool else ''}"
            self.stdout.write(f"To buy: {len(planned.candidates)} of the {asked}, with the monthly cost:")
        for candidate in planned.candidates:
            cells = [candidate.number, cost_text(candidate.monthly_cost), candidate.type or ""]
            self.stdout.write(INDENT + line(cells, widths=[17, 11]))
        if planned.costs:
            self.stdout.write(f"Total: {total_text(planned.costs)}")
        if planned.missing > 0 and order.state == OrderState.OPEN:
            self.stdout.write(
                f"The carrier has no more such numbers: {planned.missing} of {order.count} will be missing."
            )

    def _fulfil(self, order: NumberOrder, planned: PurchasePlan) -> None:
        ready = order.numbers.rented().exclude(state=NumberState.CONFIGURING).count()
        with self.progress(order.count, ready) as progress:
            for step in fulfil(order, approval=planned.approval):
                is_trouble = step.kind in (StepKind.REFUSED, StepKind.NOT_CONFIGURED) or bool(step.detail)
                why = f": {step.detail}" if step.detail else ""
                progress.log(f"{step.number} {_WORDS[step.kind]}{why}", is_trouble=is_trouble)
                if step.kind in (StepKind.CONFIGURED, StepKind.NOT_CONFIGURED):
                    progress.advance()

    def _sum_up(self, order: NumberOrder) -> None:
        ours = order.numbers.rented()
        unconfigured = ours.filter(state=NumberState.CONFIGURING).count()
        bought = f"Order {order.pk}: {ours.count()} of {numbers_text(order.count)} bought"
        if order.state == OrderState.OPEN:
            is_being_bought = order.numbers.filter(state=NumberState.ORDERED).exists()
            rest = (
                "another run of this command is buying the rest. Run it again to see the result."
                if is_being_bought
                else "the carrier's other numbers were not shown, or cost more. Run the same command again to see them."
            )
            raise CommandError(f"{bought}; {rest}", returncode=ExitCode.PARTIAL)
        if order.state != OrderState.COMPLETE:
            raise CommandError(f"{bought}: the carrier has no more such numbers.", returncode=ExitCode.PARTIAL)
        if unconfigured:
            raise CommandError(
                f"{bought}, but {unconfigured} do not reach us yet. Does PUBLIC_URL answer from outside? "
                "Then run manage.py configure_numbers.",
                returncode=ExitCode.NOT_CONFIGURED,
            )
        self.stdout.write(self.style.SUCCESS(f"{bought}; their messages reach us."))


def _standing(state: str) -> str:
    return "perhaps bought, otherwise to buy" if state == NumberState.ORDERED else str(NumberState(state).label)

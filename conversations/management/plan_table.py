"""Format a plan as tables of at most 100 characters a line, with a sentence of advice for each country."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from conversations.planning.advice import advice, assumptions_text, country_name
from conversations.planning.columns import COSTS, NEEDS, Column, cool_down_name
from conversations.planning.plan import PoolPlan, Simulation
from smsproxy.text_table import table

WIDTH = 100


def lines(plan: PoolPlan) -> Iterator[str]:
    """Yield the lines of the plan."""
    yield f"POOL {assumptions_text(plan)}"
    if not plan.countries:
        yield "  The pool has no numbers and no conversations, so there is nothing to plan from."
        return
    yield ""
    yield "NUMBERS in stock, and needed for each of the three constraints"
    yield from _table(plan, NEEDS)
    yield ""
    yield "COOL-DOWN: numbers needed by the same history with another cool-down"
    yield from _cool_downs(plan, plan.countries[0].simulations)
    yield ""
    yield "COST in EUR a month"
    yield from _table(plan, COSTS)
    yield ""
    for country in plan.countries:
        yield from wrap(advice(country, plan), WIDTH, subsequent_indent="    ")


def _table(plan: PoolPlan, columns: Sequence[Column]) -> Iterator[str]:
    rows = [[country_name(each.country), *(column.cell(each) for column in columns)] for each in plan.countries]
    yield from table([["country", *(column.head for column in columns)], *rows], numeric=True, gap=2)


def _cool_downs(plan: PoolPlan, simulated: Sequence[Simulation]) -> Iterator[str]:
    rows = [
        [country_name(country.country), *(str(each.needs.numbers) for each in country.simulations)]
        for country in plan.countries
    ]
    yield from table([["country", *map(cool_down_name, simulated)], *rows], numeric=True, gap=2)
    yield "  * current cool-down"
    if short := [cool_down_name(each) for each in simulated if not each.is_allowed]:
        yield f"  not allowed, because a message may be in transit for as long: {', '.join(short)}"

"""Columns of a plan's tables, shared by the terminal and the admin."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from conversations.planning.advice import LIMIT_NAMES, cost_text, duration_text
from conversations.planning.plan import CountryPlan, Simulation


class Column(NamedTuple):
    """A column with the text of its cell. head: the short heading. told: the long heading."""

    head: str
    long_heading: str
    cell: Callable[[CountryPlan], str]


def cool_down_name(simulation: Simulation) -> str:
    """Return the cool-down as a heading. An asterisk marks the current one."""
    return f"{duration_text(simulation.cool_down)}{'*' if simulation.is_current else ''}"


def _limit(country: CountryPlan) -> str:
    return gettext(LIMIT_NAMES[country.needs.limit]) if country.needs.limit else "-"


def _trend(trend: Decimal | None) -> str:
    return "?" if trend is None else f"{trend:+}"


def _runs_out(country: CountryPlan) -> str:
    if country.to_buy:
        return gettext("too few now")
    if country.runs_out_on:
        return str(country.runs_out_on)
    return gettext("not within two years") if country.forecast.is_known else "?"


NEEDS = [
    Column("there", _("numbers there"), lambda country: str(country.stock.numbers)),
    Column("needed", _("needed"), lambda country: str(country.needs.numbers)),
    Column("by", _("decided by"), _limit),
    Column("Δ", _("Δ, the busiest person"), lambda country: str(country.needs.busiest)),
    Column("cap", _("for the cap"), lambda country: "-" if country.needs.cap is None else str(country.needs.cap)),
    Column("rate", _("for the rate"), lambda country: str(country.needs.rate)),
    Column("Δ/month", _("trend of Δ, a month"), lambda country: _trend(country.busiest_trend)),
    Column("needed/month", _("trend of needed, a month"), lambda country: _trend(country.trend)),
    Column("runs out", _("runs out"), _runs_out),
]
COSTS = [
    Column("EUR a month", _("EUR a month, there"), lambda country: cost_text(country.stock.monthly_cost)),
    Column("of unknown cost", _("numbers of unknown cost"), lambda country: str(country.stock.unknown_costs)),
    Column(
        "for what is needed",
        _("EUR a month, needed"),
        lambda country: cost_text(country.stock.cost_of(country.needs.numbers)),
    ),
    Column("to buy now", _("to buy now"), lambda country: str(country.to_buy)),
    Column("for", _("EUR a month, to buy"), lambda country: cost_text(country.stock.cost_of(country.to_buy))),
]

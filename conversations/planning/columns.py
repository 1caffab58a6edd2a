"""Columns of a plan's tables, shared by the terminal and the admin."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

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
    return _(LIMIT_NAMES[country.needs.limit]) if country.needs.limit else "-"


def _trend(trend: Decimal | None) -> str:
    return "?" if trend is None else f"{trend:+}"


def _runs_out(country: CountryPlan) -> str:
    if country.to_buy:
        return _("too few now")
    if country.runs_out_on:
        return str(country.runs_out_on)
    return _("not within two years") if country.forecast.is_known else "?"


NEEDS = [
    Column("there", gettext_noop("numbers there"), lambda country: str(country.stock.numbers)),
    Column("needed", gettext_noop("needed"), lambda country: str(country.needs.numbers)),
    Column("by", gettext_noop("decided by"), _limit),
    Column("Δ", gettext_noop("Δ, the busiest person"), lambda country: str(country.needs.busiest)),
    Column(
        "cap", gettext_noop("for the cap"), lambda country: "-" if country.needs.cap is None else str(country.needs.cap)
    ),
    Column("rate", gettext_noop("for the rate"), lambda country: str(country.needs.rate)),
    Column("Δ/month", gettext_noop("trend of Δ, a month"), lambda country: _trend(country.busiest_trend)),
    Column("needed/month", gettext_noop("trend of needed, a month"), lambda country: _trend(country.trend)),
    Column("runs out", gettext_noop("runs out"), _runs_out),
]
COSTS = [
    Column("EUR a month", gettext_noop("EUR a month, there"), lambda country: cost_text(country.stock.monthly_cost)),
    Column(
        "of unknown cost", gettext_noop("numbers of unknown cost"), lambda country: str(country.stock.unknown_costs)
    ),
    Column(
        "for what is needed",
        gettext_noop("EUR a month, needed"),
        lambda country: cost_text(country.stock.cost_of(country.needs.numbers)),
    ),
    Column("to buy now", gettext_noop("to buy now"), lambda country: str(country.to_buy)),
    Column(
        "for", gettext_noop("EUR a month, to buy"), lambda country: cost_text(country.stock.cost_of(country.to_buy))
    ),
]

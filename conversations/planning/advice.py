"""Describe a plan in one sentence for each country. The terminal and the admin show the same sentences."""

from datetime import UTC, timedelta
from decimal import Decimal

from conversations.planning.plan import Constraint, CountryPlan, PoolPlan
from numbers.models.pool import pool_name

LIMIT_NAMES = {Constraint.BUSIEST: "Δ", Constraint.CAP: "cap", Constraint.RATE: "rate"}


def country_name(country: str) -> str:
    """Return the country code, or "no country" for phones of unknown country."""
    return country or "no country"


def duration_text(duration: timedelta) -> str:
    """Return the duration in the largest unit that divides it, such as "7 days"."""
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if duration % length == timedelta(0):
            return _counted(duration // length, unit)
    return _counted(duration // timedelta(seconds=1), "second")


def assumptions_text(plan: PoolPlan) -> str:
    """Return the pool, the period and the assumptions of the plan."""
    terms = [
        f"{pool_name(plan.question.pool)}: {plan.first_day} to {plan.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        f"cool-down {duration_text(plan.cool_down)}",
    ]
    if plan.cap:
        terms.append(f"cap {plan.cap:,}")
    if plan.question.growth is not None:
        terms.append(f"growth {plan.question.growth:+f} % a month")
    return ", ".join(terms)


def advice(country: CountryPlan, plan: PoolPlan) -> str:
    """Return what to do about the numbers of this country, and why."""
    name = country_name(country.country)
    numbers = _counted(country.stock.numbers, "number")
    if country.needs.limit is None:
        return f"{name}: {numbers}, and no conversations in {_counted(plan.question.days, 'day')}."
    needed = f"{country.needs.numbers} needed ({LIMIT_NAMES[country.needs.limit]}: {_why(country)})"
    return f"{name}: {numbers}, {needed}, {_outlook(country)}.{_others(country)}"


def _why(country: CountryPlan) -> str:
    if country.needs.limit == Constraint.BUSIEST:
        return f"one person had {_counted(country.busiest, 'live conversation')}"
    if country.needs.limit == Constraint.CAP:
        return f"{country.live:,} live participants, at most {country.limits.cap:,} a number"
    return f"{country.segments:,} segments in a minute, and a number sends {country.limits.rate_text} a second"


def _outlook(country: CountryPlan) -> str:
    if country.to_buy:
        cost = country.stock.cost_of(country.to_buy)
        price = "at an unknown cost" if cost is None else f"for EUR {cost:.2f} a month"
        return f"too few: buy {country.to_buy} now, {price}"
    growth = country.forecast.growth
    if growth is None and country.trend is None:
        return "enough for now; the history is too short for a trend"
    pace = f"{country.trend:+} a month" if growth is None else f"{growth:+f} % a month"
    if country.runs_out_on is None:
        return f"enough for two years and more at {pace}"
    return f"lasts until about {country.runs_out_on} at {pace}"


def _others(country: CountryPlan) -> str:
    if not country.stock.others:
        return ""
    if country.stock.others == 1:
        return " 1 number of another country could serve them too, but is not counted."
    return f" {country.stock.others:,} numbers of other countries could serve them too, but are not counted."


def cost_text(cost: Decimal | None) -> str:
    """Return an amount in EUR with two decimals, or "unknown"."""
    return "unknown" if cost is None else f"{cost:.2f}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

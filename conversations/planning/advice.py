"""Describe a plan in one sentence for each country. The terminal and the admin show the same sentences."""

from datetime import UTC, timedelta
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from conversations.planning.plan import Constraint, CountryPlan, PoolPlan
from numbers.models.pool import pool_name

LIMIT_NAMES = {Constraint.BUSIEST: "Δ", Constraint.CAP: gettext_noop("cap"), Constraint.RATE: gettext_noop("rate")}


def country_name(country: str) -> str:
    """Return the country code, or "no country" for phones of unknown country."""
    return country or _("no country")


def duration_text(duration: timedelta) -> str:
    """Return the duration in the largest unit that divides it, such as "7 days"."""
    if duration % timedelta(days=1) == timedelta(0):
        return _days(duration // timedelta(days=1))
    if duration % timedelta(hours=1) == timedelta(0):
        count = duration // timedelta(hours=1)
        return ngettext("%(count)s hour", "%(count)s hours", count) % {"count": f"{count:,}"}
    if duration % timedelta(minutes=1) == timedelta(0):
        count = duration // timedelta(minutes=1)
        return ngettext("%(count)s minute", "%(count)s minutes", count) % {"count": f"{count:,}"}
    count = duration // timedelta(seconds=1)
    return ngettext("%(count)s second", "%(count)s seconds", count) % {"count": f"{count:,}"}


def assumptions_text(plan: PoolPlan) -> str:
    """Return the pool, the period and the assumptions of the plan."""
    terms = [
        _("%(pool)s: %(first)s to %(last)s UTC")
        % {
            "pool": pool_name(plan.question.pool),
            "first": plan.first_day,
            "last": f"{plan.at.astimezone(UTC):%Y-%m-%d %H:%M}",
        },
        _("cool-down %(duration)s") % {"duration": duration_text(plan.cool_down)},
    ]
    if plan.cap:
        terms.append(_("cap %(cap)s") % {"cap": f"{plan.cap:,}"})
    if plan.question.growth is not None:
        terms.append(_("growth %(percent)s %% a month") % {"percent": f"{plan.question.growth:+f}"})
    return ", ".join(terms)


def advice(country: CountryPlan, plan: PoolPlan) -> str:
    """Return what to do about the numbers of this country, and why."""
    name = country_name(country.country)
    count = country.stock.numbers
    numbers = ngettext("%(count)s number", "%(count)s numbers", count) % {"count": f"{count:,}"}
    if country.needs.limit is None:
        none = _("and no conversations in %(days)s.") % {"days": _days(plan.question.days)}
        return f"{name}: {numbers}, {none}"
    needed = _("%(count)s needed (%(limit)s: %(why)s)") % {
        "count": country.needs.numbers,
        "limit": _(LIMIT_NAMES[country.needs.limit]),
        "why": _why(country),
    }
    return f"{name}: {numbers}, {needed}, {_outlook(country)}.{_others(country)}"


def _why(country: CountryPlan) -> str:
    if country.needs.limit == Constraint.BUSIEST:
        had = ngettext(
            "one person had %(count)s live conversation", "one person had %(count)s live conversations", country.busiest
        )
        return had % {"count": f"{country.busiest:,}"}
    if country.needs.limit == Constraint.CAP:
        live = _("%(live)s live participants, at most %(cap)s a number")
        return live % {"live": f"{country.live:,}", "cap": f"{country.limits.cap:,}"}
    sent = _("%(segments)s segments in a minute, and a number sends %(rate)s a second")
    return sent % {"segments": f"{country.segments:,}", "rate": country.limits.rate_text}


def _outlook(country: CountryPlan) -> str:
    if country.to_buy:
        cost = country.stock.cost_of(country.to_buy)
        if cost is None:
            return _("too few: buy %(count)s now, at an unknown cost") % {"count": country.to_buy}
        buy = _("too few: buy %(count)s now, for EUR %(cost)s a month")
        return buy % {"count": country.to_buy, "cost": f"{cost:.2f}"}
    growth = country.forecast.growth
    if growth is None and country.trend is None:
        return _("enough for now; the history is too short for a trend")
    if growth is None:
        pace = _("%(count)s a month") % {"count": f"{country.trend:+}"}
    else:
        pace = _("%(percent)s %% a month") % {"percent": f"{growth:+f}"}
    if country.runs_out_on is None:
        return _("enough for two years and more at %(pace)s") % {"pace": pace}
    return _("lasts until about %(day)s at %(pace)s") % {"day": country.runs_out_on, "pace": pace}


def _others(country: CountryPlan) -> str:
    if not country.stock.others:
        return ""
    others = ngettext(
        "%(count)s number of another country could serve them too, but is not counted.",
        "%(count)s numbers of other countries could serve them too, but are not counted.",
        country.stock.others,
    )
    return " " + others % {"count": f"{country.stock.others:,}"}


def cost_text(cost: Decimal | None) -> str:
    """Return an amount in EUR with two decimals, or "unknown"."""
    return _("unknown") if cost is None else f"{cost:.2f}"


def _days(count: int) -> str:
    return ngettext("%(count)s day", "%(count)s days", count) % {"count": f"{count:,}"}

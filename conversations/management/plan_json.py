"""Format a plan for programs: dates in ISO 8601, decimals as strings, cool-downs in seconds."""

from typing import Any

from conversations.planning.plan import CountryPlan, Needs, PoolPlan


def as_data(plan: PoolPlan) -> dict[str, Any]:
    """Return the plan as data for JSON."""
    question = plan.question
    return {
        "at": plan.at,
        "pool": question.pool.name if question.pool else None,
        "days": question.days,
        "first_day": plan.first_day,
        "cool_down": int(plan.cool_down.total_seconds()),
        "cap": plan.cap,
        "growth": question.growth,
        "countries": [_country(country) for country in plan.countries],
    }


def _country(country: CountryPlan) -> dict[str, Any]:
    stock, needs = country.stock, country.needs
    return {
        "country": country.country,
        "numbers": stock.numbers,
        "numbers_of_other_countries": stock.others,
        "busiest": country.busiest,
        "busiest_trend": country.busiest_trend,
        "live": country.live,
        "segments_in_a_minute": country.segments,
        "rate": country.limits.rate_text,
        **_needs(needs),
        "trend": country.trend,
        "runs_out_on": country.runs_out_on,
        "monthly_cost": stock.monthly_cost,
        "unknown_costs": stock.unknown_costs,
        "monthly_cost_of_needed": stock.cost_of(needs.numbers),
        "to_buy": country.to_buy,
        "to_spare": country.to_spare,
        "monthly_cost_to_buy": stock.cost_of(country.to_buy),
        "cool_downs": [
            {
                "cool_down": int(each.cool_down.total_seconds()),
                "is_current": each.is_current,
                "is_allowed": each.is_allowed,
                "busiest": each.busiest,
                **_needs(each.needs),
            }
            for each in country.simulations
        ],
        "history": [
            {
                "date": day.date,
                "busiest": day.busiest,
                "live": day.live,
                "segments_in_a_minute": day.segments,
                **_needs(day.needs),
            }
            for day in country.days
        ],
    }


def _needs(needs: Needs) -> dict[str, Any]:
    return {
        "needed": needs.numbers,
        "needed_by": {"busiest": needs.busiest, "cap": needs.cap, "rate": needs.rate},
        "limit": needs.limit,
    }

"""Arithmetic of limits that are stored as one moment: GCRA, used as a token bucket.

A limit of 30 a minute allows 30 at once, and then one more every two seconds. `ready_at` is the moment when the whole
limit is free again, in seconds since 1970. Each use moves it on. `LimitUsage` and the rate of an API key have the same
rule in SQL.
"""

# A limit allows this much more than its period: moments in seconds since 1970 are exact to a quarter of a microsecond.
ROUNDING = 1.00001


def time_to_wait(ready_at: float, now: float, cost: float, period: float) -> float:
    """Return the seconds until a limit allows a use, 0 for now.

    ready_at: when the whole limit is free again. cost: the seconds by which the use moves it on. It may then lie at
    most one period ahead. A `ready_at` that lies two periods ahead comes from a wrong clock and is ignored.
    """
    used_until = ready_at if now <= ready_at <= now + 2 * period else now
    return max(0.0, used_until + cost - now - period) if used_until + cost > now + period * ROUNDING else 0.0

"""Arithmetic of rate limits: the generic cell rate algorithm (GCRA, "virtual scheduling", ITU-T I.371).

A rate limit stores one moment, `ready_at`. Nothing is sent before it. Each message moves it on by its cost.
"""

import random
from datetime import UTC, datetime, timedelta

# Seconds of unused rate that may be used at once. It covers the time until a worker polls again.
BURST_SECONDS = 0.1
# Seconds. The upper limit of a wait that doubles with each failed probe.
MAX_PAUSE = 60.0
# Seconds. A longer wait asked for by the carrier is cut to this: an early request costs little, a long wait a lot.
MAX_WAIT = 3600.0
# No wait is as long as this. A `ready_at` further ahead comes from a wrong clock and is ignored.
MAX_PLAUSIBLE_WAIT = timedelta(seconds=2 * MAX_WAIT)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def unused_since(ready_at: datetime, now: datetime, rate: float) -> datetime:
    """Return the moment since which the rate counts as unused. rate: units per second.

    It lies at most BURST_SECONDS, less the time of one unit, before now. A rate of up to 10 a second is therefore never
    exceeded, and the polling interval does not slow down a higher rate.
    """
    latest = ready_at if ready_at < now + MAX_PLAUSIBLE_WAIT else now
    return max(latest, now - timedelta(seconds=max(0.0, BURST_SECONDS - 1 / rate)))


def advance(ready_at: datetime, now: datetime, cost: int, rate: float) -> datetime:
    """Return `ready_at` after a send. cost: segments or requests. rate: the same units per second."""
    return unused_since(ready_at, now, rate) + timedelta(seconds=cost / rate)


def exponential_backoff(seconds: float, failures: int) -> timedelta:
    """Return the wait after this number of failed probes. seconds: the first wait, and the minimum.

    The wait doubles with each failure up to MAX_PAUSE, with jitter.
    """
    seconds = min(seconds, MAX_WAIT)
    longer = min(MAX_PAUSE, seconds * 2 ** min(failures, 10))
    # Half of it is random, so that workers do not retry in step.
    return timedelta(seconds=max(seconds, longer * random.uniform(0.5, 1)))  # noqa: S311

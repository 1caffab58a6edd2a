"""Estimate a quantile, such as the median, from the buckets of a histogram."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Quantile(NamedTuple):
    """seconds: about the duration that this part of the events did not exceed. is_more: it was longer than that."""

    seconds: float
    is_more: bool = False


def estimate(part: float, buckets: Iterable[tuple[float, float]]) -> Quantile | None:
    """Return the quantile, or None without events. part: 0.95 for the 95th percentile.

    buckets: the upper bound and the count of each, in order of the bounds; the last bound is infinite. Within a bucket
    the events count as evenly spread (linear interpolation), as Prometheus does it.
    """
    found = list(buckets)
    rank = part * sum(count for _, count in found)
    if not rank:
        return None
    below = lower = 0.0
    for upper, count in found:
        if count and below + count >= rank:
            if math.isinf(upper):
                return Quantile(lower, is_more=True)
            return Quantile(lower + (upper - lower) * (rank - below) / count)
        below, lower = below + count, upper
    return Quantile(lower)

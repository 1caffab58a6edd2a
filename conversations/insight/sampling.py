"""Take a sample of the counters of /metrics each minute, for the figures of each hour. No message is read."""

from collections import defaultdict
from collections.abc import Iterator

from django.db import IntegrityError, transaction
from django.db.models import Count

from conversations.models import HourlySample, Participant
from conversations.models.hourly_sample import JOINED_WITHIN, hour_of
from smsproxy.database.clock import database_now
from smsproxy.metrics import families
from smsproxy.metrics.family import Histogram, parse
from smsproxy.metrics.models import MetricValue

# Names of the figures of an hour. A bucket's name is the histogram's, "/" and the upper bound.
RECEIVED, SENT, DELIVERED, FAILED = "received", "sent", "delivered", "failed"
TO_CARRIER, TO_PHONE = "to_carrier", "to_phone"
HISTOGRAMS: dict[str, Histogram] = {TO_CARRIER: families.TO_CARRIER, TO_PHONE: families.TO_PHONE}
COUNTERS = {
    families.RECEIVED: RECEIVED,
    families.SENT: SENT,
    families.DELIVERED: DELIVERED,
    families.FAILED: FAILED,
}
# The joined message counts, not its parts.
_PARTS = ("part", "duplicate_part")
# Pairs that cool down are counted less often: there may be hundreds of thousands.
_COOLING_EVERY = JOINED_WITHIN / 2
COMMON_POOL = "0"


def bucket_name(figure: str, bound: str) -> str:
    """Return the name of the figure of a bucket, such as "to_phone/2.5"."""
    return f"{figure}/{bound}"


def sample_counters() -> int:
    """Take a sample for the present hour. Return 1, or 0 if another worker was first.

    The lock comes before the counters are read, so the samples of two workers never overlap.
    """
    try:
        with transaction.atomic():
            last = HourlySample.objects.select_for_update(no_key=True).order_by("-hour").first()
            now = database_now()
            if last is not None and now <= last.until:  # The clock was set back.
                return 0
            counters = _counters()
            if last is not None and last.hour == hour_of(now):
                last.advance(counters, now)
                sample = last
            else:
                sample = HourlySample.following(last, counters, now)
            if sample.cooling_at is None or now - sample.cooling_at >= _COOLING_EVERY:
                sample.cooling, sample.cooling_at = _cooling(), now
            sample.save()
    except IntegrityError:
        return 0
    return 1


def _counters() -> dict[str, float]:
    """Return all counters of interest, at 0 those that have counted nothing yet."""
    names = [family.stored_name for family in [*COUNTERS, *HISTOGRAMS.values()]]
    stored: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for name, labels, value in MetricValue.objects.filter(name__in=names).values_list("name", "labels", "value"):
        stored[name].append((parse(labels), value))
    found = {
        figure: sum(value for labels, value in stored[family.stored_name] if labels.get("outcome") not in _PARTS)
        for family, figure in COUNTERS.items()
    }
    return found | dict(_buckets(stored))


def _buckets(stored: dict[str, list[tuple[dict[str, str], float]]]) -> Iterator[tuple[str, float]]:
    for figure, histogram in HISTOGRAMS.items():
        counts = {labels.get("le"): value for labels, value in stored.get(histogram.stored_name, ())}
        for bound in histogram.bounds:
            yield bucket_name(figure, bound), counts.get(bound, 0)


def _cooling() -> dict[str, int]:
    """Count the pairs that cool down, by pool. It reads all of them, in their own index."""
    rows = Participant.objects.cooling().order_by().values_list("proxy_number__pool").annotate(Count("pk"))
    return {str(pool or COMMON_POOL): count for pool, count in rows}

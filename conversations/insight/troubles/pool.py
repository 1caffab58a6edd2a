"""Troubles of the pool of virtual numbers, and of the services it depends on."""

from collections.abc import Iterator

from conversations.insight.status import Status, format_count
from conversations.insight.troubles.kinds import Trouble
from smsproxy.checks import number_insight_ends


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    if status.quarantined_count:
        yield (
            Trouble.QUARANTINED,
            f"Virtual numbers in quarantine: {status.quarantined_count}. They get no new conversations until staff "
            "restore them.",
        )
    if status.shortages.count:
        yield (
            Trouble.SHORTAGES,
            f"Conversations without a free number in the last hour: {format_count(status.shortages.count)}, "
            f"{status.shortages}.",
        )
    if status.low_pools:
        low = status.low_pools[0]
        yield (
            Trouble.POOL_LOW,
            f"Pools with few numbers left: {len(status.low_pools)}. {low.pool}, {low.country}: {low.free} free for the "
            f"busiest person, fewer than {low.least}.",
        )
    if status.still_rented.count:
        yield (
            Trouble.RENTED_BUT_RETIRED,
            f"Retired numbers that are still rented: {status.still_rented.count}, {status.still_rented}.",
        )
    if status.top_ups:
        first = status.top_ups[0]
        yield (
            Trouble.TOP_UP,
            f"Top-ups that failed to buy: {len(status.top_ups)}. {first.pool}, {first.country}: {first.trouble}.",
        )
    if status.stuck_orders:
        stuck = status.stuck_orders[0]
        yield (
            Trouble.ORDERS,
            f"Orders of numbers that cannot go on: {len(status.stuck_orders)}. Order {stuck.order}: {stuck.trouble}.",
        )
    if ending := number_insight_ends(status.at.date()):
        yield Trouble.LOOKUP_ENDS, ending

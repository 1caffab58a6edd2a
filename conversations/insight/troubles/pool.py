"""Troubles of the pool of virtual numbers, and of the services it depends on."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from conversations.insight.status import Status, format_count
from conversations.insight.troubles.kinds import Trouble
from smsproxy.checks import number_insight_ends


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    if status.quarantined_count:
        yield (
            Trouble.QUARANTINED,
            _("Virtual numbers in quarantine: %(count)s. They get no new conversations until staff restore them.")
            % {"count": status.quarantined_count},
        )
    if status.shortages.count:
        yield (
            Trouble.SHORTAGES,
            _("Conversations without a free number in the last hour: %(count)s, %(last)s.")
            % {"count": format_count(status.shortages.count), "last": status.shortages},
        )
    if status.low_pools:
        low = status.low_pools[0]
        yield (
            Trouble.POOL_LOW,
            _(
                "Pools with few numbers left: %(count)s. %(pool)s, %(country)s: %(free)s free for the busiest person, "
                "fewer than %(least)s."
            )
            % {
                "count": len(status.low_pools),
                "pool": low.pool,
                "country": low.country,
                "free": low.free,
                "least": low.least,
            },
        )
    if status.still_rented.count:
        yield (
            Trouble.RENTED_BUT_RETIRED,
            _("Retired numbers that are still rented: %(count)s, %(cost)s.")
            % {"count": status.still_rented.count, "cost": status.still_rented},
        )
    if status.top_ups:
        first = status.top_ups[0]
        yield (
            Trouble.TOP_UP,
            _("Top-ups that failed to buy: %(count)s. %(pool)s, %(country)s: %(why)s.")
            % {"count": len(status.top_ups), "pool": first.pool, "country": first.country, "why": first.trouble},
        )
    if status.stuck_orders:
        stuck = status.stuck_orders[0]
        yield (
            Trouble.ORDERS,
            _("Orders of numbers that cannot go on: %(count)s. Order %(order)s: %(why)s.")
            % {"count": len(status.stuck_orders), "order": stuck.order, "why": stuck.trouble},
        )
    if ending := number_insight_ends(status.at.date()):
        yield Trouble.LOOKUP_ENDS, ending

"""How many numbers are left: the numbers still free for the busiest person of a pool and country."""

import math

from django.db import transaction
from django.db.models import Count, Q, Sum

from numbers.assignment.policy import AssignmentPolicy
from numbers.models import NumberState, Pool, PoolLevel, TopUp, VirtualNumber
from numbers.models.virtual_number import ASSIGNABLE, VirtualNumberQuerySet
from numbers.usage import most_live_pairs_of_one_person
from smsproxy.database.clock import database_now

# Numbers that will be assignable soon: perhaps bought, or ours and not configured yet.
_COMING = Q(state__in=[NumberState.ORDERED, NumberState.CONFIGURING], can_sms=True, is_reserved=False)
# A pool without a top-up is low if fewer than this part of its numbers is free, or none.
_LOW_PART = 0.1


def free_numbers(pool: Pool | None, country: str) -> int:
    """Return the numbers still free for the busiest person of this pool and country. Negative: a shortage.

    Used up are the live pairs of that person, or the numbers that the cap makes necessary if they are more. Numbers
    that take no new conversations do not count, even if somebody still has them.
    """
    numbers = serving(pool, country)
    found = numbers.aggregate(count=Count("pk"), live=Sum("live_pair_count"))
    cap = AssignmentPolicy(pool=pool).cap
    by_cap = -(-(found["live"] or 0) // cap) if cap else 0
    return int(found["count"]) - max(most_live_pairs_of_one_person(numbers, country), by_cap)


def serving(pool: Pool | None, country: str) -> VirtualNumberQuerySet:
    """Return the numbers that new conversations can have, now or soon."""
    return VirtualNumber.objects.filter(ASSIGNABLE | _COMING, pool=pool, country=country)


def measure_levels() -> int:
    """Measure and store the level of each pool and country with rented numbers. Return how many are low."""
    thresholds = {(rule.pool_id, rule.country): rule.low_threshold for rule in TopUp.objects.all()}
    rented = VirtualNumber.objects.rented().exclude(state=NumberState.RETIRED).filter(can_sms=True, is_reserved=False)
    places = rented.order_by("pool", "country").values_list("pool", "country").annotate(Count("pk"))
    pools = Pool.objects.in_bulk([pool for pool, _, _ in places if pool])
    now = database_now()
    levels = []
    for pool_id, country, count in places:
        pool = pools.get(pool_id) if pool_id else None
        least = thresholds.get((pool_id, country), max(1, math.ceil(count * _LOW_PART)))
        free = free_numbers(pool, country)
        levels.append(PoolLevel(pool=pool, country=country, free=free, least=least, measured_at=now))
    with transaction.atomic():
        PoolLevel.objects.all().delete()
        PoolLevel.objects.bulk_create(levels)
    return sum(level.free < level.least for level in levels)

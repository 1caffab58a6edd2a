"""The rate of an API key: requests a minute, counted in its own row, so that all processes share the count.

Each request is counted by one UPDATE of its own, before its work begins. So the row is locked for that moment only, and
a request that fails counts as well. The algorithm is GCRA: see smsproxy/gcra.py.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q
from rest_framework import status
from rest_framework.exceptions import APIException

from smsproxy.api.models import ApiKey
from smsproxy.database.clock import as_stored
from smsproxy.gcra import ROUNDING, time_to_wait

MINUTE = 60
# How exactly the last use of a key without a limit is known. A write for each request would be a hot spot.
_LAST_USE_INTERVAL = timedelta(minutes=1)

_NEXT = f"""%(cost)s + CASE WHEN rate_ready_at BETWEEN %(now)s AND %(now)s + {2 * MINUTE}
    THEN rate_ready_at ELSE %(now)s END"""
_COUNT = f"""
    UPDATE api_apikey SET rate_ready_at = {_NEXT}, last_used_at = %(at)s
    WHERE id = %(id)s AND {_NEXT} <= %(now)s + {MINUTE * ROUNDING}
    RETURNING rate_ready_at
"""  # noqa: S608 - constants only


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """The state of a key's rate. reset: seconds until the whole limit is free again."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class OverRate(APIException):
    """The key's rate is used up. rate: its state, for the headers."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "rate_limited"

    def __init__(self, rate: RateLimit, retry_after: int) -> None:
        super().__init__(
            f"This API key may send {rate.limit} requests a minute. Retry the request after {retry_after} seconds."
        )
        self.rate = rate
        self.wait = retry_after  # DRF's name, for the header Retry-After.


def count_request(key: ApiKey, *, at: datetime) -> RateLimit | None:
    """Count a request of this key, and note its use. Return the state of its rate, or None without a limit.

    at: the database's time. Raises OverRate, with nothing counted.
    """
    limit = settings.API_REQUESTS_PER_KEY_MINUTE if key.requests_per_minute is None else key.requests_per_minute
    if limit == 0:
        _note_use(key, at)
        return None
    now, cost = at.timestamp(), MINUTE / limit
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"now": now, "cost": cost, "at": as_stored(at), "id": key.pk})
        counted = cursor.fetchall()
    if counted:
        return _state(limit, counted[0][0], now)
    ready_at = ApiKey.objects.values_list("rate_ready_at", flat=True).get(pk=key.pk)
    raise OverRate(_state(limit, ready_at, now), max(1, math.ceil(time_to_wait(ready_at, now, cost, MINUTE))))


def _state(limit: int, ready_at: float, now: float) -> RateLimit:
    reset = max(0.0, ready_at - now)
    remaining = math.floor((MINUTE * ROUNDING - reset) * limit / MINUTE)
    return RateLimit(limit=limit, remaining=max(0, remaining), reset=math.ceil(reset))


def _note_use(key: ApiKey, at: datetime) -> None:
    is_older = Q(last_used_at=None) | Q(last_used_at__lt=at - _LAST_USE_INTERVAL)
    if key.last_used_at is None or key.last_used_at < at - _LAST_USE_INTERVAL:
        ApiKey.objects.filter(is_older, pk=key.pk).update(last_used_at=at)

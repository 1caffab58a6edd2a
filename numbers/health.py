"""The health of numbers: find a number whose SMS a network loses while it delivers those of other numbers.

The source is the final receipts of the last HEALTH_WINDOW_SECONDS, by number and network. Three kinds do not count:
- Receipts that blame the recipient.
- Receipts without a known network.
- Receipts from before the number last became active. Restoring a number clears what was held against it.
"""

import logging
import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

from django.conf import settings

from numbers.models import NumberState, VirtualNumber
from numbers.usage import ReceiptCounts, receipt_counts_by_network, receipt_counts_by_recipient
from smsproxy.carriers import get_carrier
from smsproxy.database.clock import database_now
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# A number stands out if its share of lost SMS is this many times that of the others ...
MIN_RATIO = 2
# ... and this many standard deviations above it. Many numbers are tested often, so some are always unlucky.
DEVIATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Health:
    """Counts of the SMS from one number to one network, and from all other numbers to that network.

    sent: SMS with a final receipt. lost: SMS among these that were not delivered.
    """

    number_id: int
    network: str
    sent: int
    lost: int
    others_sent: int
    others_lost: int

    @property
    def share(self) -> float:
        return self.lost / self.sent

    @property
    def others_share(self) -> float | None:
        """The share of lost SMS of all other numbers; None if no other number sent any."""
        return self.others_lost / self.others_sent if self.others_sent else None

    @property
    def has_enough_data(self) -> bool:
        """Whether enough SMS were sent to judge the share."""
        return self.sent >= settings.HEALTH_MIN_RECEIPTS

    @property
    def is_outlier(self) -> bool:
        """Whether the number is an outlier.

        False if other numbers lose as much, as the network is at fault then, or if too few SMS allow a comparison.
        """
        return self.has_enough_data and self.others_sent >= settings.HEALTH_MIN_RECEIPTS and self.is_worse

    @property
    def is_worse(self) -> bool:
        """Whether the share is far above that of the others, and more than chance explains."""
        return (
            100 * self.lost >= settings.HEALTH_MAX_FAILURE_PERCENT * self.sent
            and self.lost * self.others_sent >= MIN_RATIO * self.others_lost * self.sent
            and not self._is_chance
        )

    @property
    def _is_chance(self) -> bool:
        """Whether a number as good as the others could have this share by chance (two-proportion z-test)."""
        both = self.sent + self.others_sent
        share = (self.lost + self.others_lost) / both
        deviation = math.sqrt(share * (1 - share) * both / (self.sent * self.others_sent))
        return self.lost / self.sent - self.others_lost / self.others_sent < DEVIATIONS * deviation

    def __str__(self) -> str:
        return (
            f"on network {self.network}, {self.lost} of {self.sent} SMS within {format_window()} were not delivered; "
            f"of the other numbers' SMS {self.others_lost} of {self.others_sent}"
        )


def measure() -> list[Health]:
    """Return the health of every number on every network that it sent to.

    The worst share comes first. Numbers with too few SMS to judge come last.
    """
    if not settings.HEALTH_WINDOW_SECONDS:
        return []
    counts = receipt_counts_by_network(_window_start(), recipient_faults=get_carrier().recipient_fault_codes)
    sent, lost = Counter[str](), Counter[str]()
    for (_, network), here in counts.items():
        sent[network] += here.sent
        lost[network] += here.lost
    found = [
        Health(
            number_id=number_id,
            network=network,
            sent=here.sent,
            lost=here.lost,
            others_sent=sent[network] - here.sent,
            others_lost=lost[network] - here.lost,
        )
        for (number_id, network), here in counts.items()
    ]
    return sorted(found, key=lambda each: (each.has_enough_data, each.share), reverse=True)


def quarantine_outliers() -> int:
    """Quarantine the numbers that stand out, the worst first. Return how many.

    A number stays in service if it is fine without the one person who lost the most SMS: their phone is at fault. At
    least half of the numbers of a pool and country stay in service, because a number that loses some SMS is better
    than none.
    """
    # Read before measuring: a number restored in between must not be judged by its past.
    active = VirtualNumber.objects.active().only("state", "pool", "country").in_bulk()
    count = kept = 0
    for health in measure():
        if health.number_id in active and health.is_outlier and not _is_single_recipient_problem(health):
            number = active.pop(health.number_id)
            if not _half_would_stay(number):
                kept += 1
                continue
            with suppress(StaleState):
                number.quarantine(reason=str(health))
                count += 1
    if kept:
        log.warning("%d numbers stand out and stay in service: half of their pool is in quarantine", kept)
    return count


def _half_would_stay(number: VirtualNumber) -> bool:
    """Return whether half of its pool and country stays in service without this number.

    Counted for each number at this moment: another worker may be at the same check.
    """
    place = {"pool": number.pool_id, "country": number.country}
    quarantined = VirtualNumber.objects.rented().filter(state=NumberState.QUARANTINED, **place).count()
    return VirtualNumber.objects.active().filter(**place).count() - quarantined >= 2


def format_window() -> str:
    """Return HEALTH_WINDOW_SECONDS as text, such as "6 h" or "90 min"."""
    minutes = round(settings.HEALTH_WINDOW_SECONDS / 60)
    return f"{minutes} min" if minutes % 60 else f"{minutes // 60} h"


def _is_single_recipient_problem(health: Health) -> bool:
    """Return whether the number stands out only because of one recipient.

    To judge the SMS to all other recipients, half of HEALTH_MIN_RECEIPTS is enough.
    """
    phones = receipt_counts_by_recipient(
        health.number_id, health.network, _window_start(), recipient_faults=get_carrier().recipient_fault_codes
    )
    worst = max(phones, key=attrgetter("lost"), default=ReceiptCounts(sent=0, lost=0))
    rest = replace(health, sent=health.sent - worst.sent, lost=health.lost - worst.lost)
    return 2 * rest.sent < settings.HEALTH_MIN_RECEIPTS or not rest.is_worse


def _window_start() -> datetime:
    return database_now() - timedelta(seconds=settings.HEALTH_WINDOW_SECONDS)

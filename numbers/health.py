"""The health of numbers: one whose SMS a network does not deliver, while it delivers those of the others, stands out.

It is drawn from the final receipts of the last HEALTH_WINDOW, for each number and network. Not counted are those that
blame the person who was texted, those of no known network, and what was before a number last went into service: who
restores one says that what was held against it is over.
"""

import logging
import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

from django.conf import settings
from django.utils import timezone

from numbers.models import NumberState, VirtualNumber
from numbers.usage import ReceiptCounts, receipt_counts_by_network, receipt_counts_by_recipient
from smsproxy.carriers.vonage.webhooks import RECIPIENTS_FAULT
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# It stands out if its share is so many times that of the others ...
TIMES_THE_OTHERS = 2
# ... and so many standard deviations above it. Many numbers are looked at, again and again: some are always unlucky.
DEVIATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Health:
    """What became of the SMS from one number to one network, and of those from all other numbers to it.

    sent: those that have a final receipt. lost: those of them that were not delivered.
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
        """None: there are no others."""
        return self.others_lost / self.others_sent if self.others_sent else None

    @property
    def is_telling(self) -> bool:
        """A share of a few SMS is chance."""
        return self.sent >= settings.HEALTH_LEAST

    @property
    def stands_out(self) -> bool:
        """Not if the others fare as badly: then it is the network. Nor if there are none to compare it with."""
        return self.is_telling and self.others_sent >= settings.HEALTH_LEAST and self.is_worse

    @property
    def is_worse(self) -> bool:
        """Far worse than the others, and more than chance explains."""
        return (
            100 * self.lost >= settings.HEALTH_THRESHOLD * self.sent
            and self.lost * self.others_sent >= TIMES_THE_OTHERS * self.others_lost * self.sent
            and not self._is_chance
        )

    @property
    def _is_chance(self) -> bool:
        """Could a number that is as good as the others have such a share? (The test of two proportions.)"""
        both = self.sent + self.others_sent
        share = (self.lost + self.others_lost) / both
        deviation = math.sqrt(share * (1 - share) * both / (self.sent * self.others_sent))
        return self.lost / self.sent - self.others_lost / self.others_sent < DEVIATIONS * deviation

    def __str__(self) -> str:
        return (
            f"on network {self.network}, {self.lost} of {self.sent} SMS within {window_in_words()} were not delivered; "
            f"of the other numbers' SMS {self.others_lost} of {self.others_sent}"
        )


def measure() -> list[Health]:
    """Of every number on every network that it has sent to, the worst share first; those of few SMS come last."""
    if not settings.HEALTH_WINDOW:
        return []
    counts = receipt_counts_by_network(_window_start(), recipient_faults=RECIPIENTS_FAULT)
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
    return sorted(found, key=lambda each: (each.is_telling, each.share), reverse=True)


def quarantine_outliers() -> int:
    """Give numbers that stand out to no new conversation. How many?

    Not one that fares well but for the person who lost the most: that is their phone. The worst first, and never so
    many that less than half of the numbers of a pool and country are left in service: numbers that lose some SMS are
    better than none.
    """
    # Before they are measured: one that is restored in between must not be judged by what was before.
    active = VirtualNumber.objects.active().only("state", "pool", "country").in_bulk()
    quarantined = VirtualNumber.objects.ours().filter(state=NumberState.QUARANTINED)
    left = Counter((number.pool_id, number.country) for number in active.values())
    left.subtract(quarantined.values_list("pool", "country"))
    count = kept = 0
    for health in measure():
        if health.number_id in active and health.stands_out and not _is_one_phone(health):
            number = active.pop(health.number_id)
            place = number.pool_id, number.country
            if left[place] < 2:
                kept += 1
                continue
            with suppress(StaleState):
                number.quarantine(reason=str(health))
                left[place] -= 2  # One fewer in service, one more that is not.
                count += 1
    if kept:
        log.warning("%d numbers stand out and stay in service: half of their pool is in quarantine", kept)
    return count


def window_in_words() -> str:
    minutes = round(settings.HEALTH_WINDOW / 60)
    return f"{minutes} min" if minutes % 60 else f"{minutes // 60} h"


def _is_one_phone(health: Health) -> bool:
    """Does the number stand out only for what one person did not get?

    What it sent to all others together need not be as much as tells of a number, but half of that.
    """
    phones = receipt_counts_by_recipient(
        health.number_id, health.network, _window_start(), recipient_faults=RECIPIENTS_FAULT
    )
    worst = max(phones, key=attrgetter("lost"), default=ReceiptCounts(sent=0, lost=0))
    rest = replace(health, sent=health.sent - worst.sent, lost=health.lost - worst.lost)
    return 2 * rest.sent < settings.HEALTH_LEAST or not rest.is_worse


def _window_start() -> datetime:
    return timezone.now() - timedelta(seconds=settings.HEALTH_WINDOW)

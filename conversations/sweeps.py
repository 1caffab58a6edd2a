"""What time does to rows: leases run out, conversations expire, cool-downs end. Run by the worker, often, in bites."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from conversations.models import Conversation, DeliveryReceipt, OutboundMessage, Participant
from conversations.receipts import match_late_receipts
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# What one sweep does in one pass at most, so that none holds up the sending of texts: rows, and seconds.
BITE = 500
BUDGET = 0.2
# A receipt whose message was being written down in the very moment it came is matched within this time.
LATE_RECEIPTS = timedelta(minutes=10)


def sweep() -> None:
    """All sweeps, one pass each. Any number of workers may run them at once: each change hits a row once."""
    for each in (recover_leases, settle_unknown, match_receipts, close_expired, release_cooled_down):
        try:
            each()
        except Exception as error:  # noqa: BLE001
            # One that fails must not keep the others, or the sending of texts, from going on.
            log.error("the sweep %s failed: %s", each.__name__, type(error).__name__)  # noqa: TRY400


def recover_leases() -> int:
    """A worker that held a message is gone: whether the carrier had the text is unknown. How many?"""
    late = OutboundMessage.objects.with_expired_lease(timezone.now())[:BITE]
    count = _each(late, lambda message: message.lose_track(reason="its worker did not report back in time"))
    if count:
        log.warning("%d messages have an unknown outcome: their worker did not report back", count)
    return count


def settle_unknown() -> int:
    """No receipt has settled them in time. `resend` sends them again; `hold` leaves them to staff. How many?"""
    if settings.UNKNOWN_POLICY != "resend":
        return 0
    late = OutboundMessage.objects.to_settle(timezone.now())[:BITE]
    return _each(late, lambda message: message.resend(reason="no receipt settled it: UNKNOWN_POLICY=resend"))


def match_receipts() -> int:
    """How many?"""
    return match_late_receipts(DeliveryReceipt.objects.since(timezone.now() - LATE_RECEIPTS))


def close_expired() -> int:
    """How many?"""
    expired = Conversation.objects.expired(timezone.now())[:BITE]
    return _each(expired, lambda conversation: conversation.close(reason="expired"))


def release_cooled_down() -> int:
    """From now on the pairs of numbers may be given to others. How many?"""
    now = timezone.now()
    bite = list(Participant.objects.cooled_down(now).order_by("release_at").values_list("pk", flat=True)[:BITE])
    return Participant.objects.filter(pk__in=bite).update(released_at=now)


def _each(rows: Iterable[Any], verb: Callable[[Any], object]) -> int:
    """Call the verb on each row while there is time. How many changed? Another worker may have been first."""
    count, end = 0, time.monotonic() + BUDGET
    for row in rows:
        if time.monotonic() > end:
            break
        with suppress(StaleState):
            verb(row)
            count += 1
    return count

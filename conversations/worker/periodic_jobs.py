"""What time does to rows: leases run out, conversations expire, cool-downs end. Run by the workers, in bites.

A sweep is a function that does one thing to a bounded number of rows and says to how many; SWEEPS, at the end, lists
them.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.utils import timezone

from conversations.delivery import undelivered_notice
from conversations.delivery.receipts import match_late_receipts
from conversations.intake import long_messages
from conversations.models import Conversation, DeliveryReceipt, LongMessage, OutboundMessage, Participant, Worker
from conversations.models.worker import PURGE_AFTER
from conversations.retention.erase_texts import erase_old_texts
from numbers.health import quarantine_outliers
from numbers.models import Shortage, VirtualNumber
from numbers.provisioning.release import retire_drained
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# What one sweep does in one pass at most, so that none holds up the others: rows, and seconds.
BATCH_SIZE = 500
TIME_BUDGET = 0.5
# A receipt whose message was being written down in the very moment it came is matched within this time.
LATE_RECEIPTS = timedelta(minutes=10)
# How long it is kept who found no number free.
SHORTAGES_KEPT = timedelta(days=90)

# Seconds between two passes.
INTERVAL = 1.0
# Seconds between two readings of the health of all numbers, which takes all receipts of its window.
HEALTH_EVERY = 300.0
# Any number that nobody else uses for an advisory lock in the same database.
_LOCK = 0x736D7370726F7879


class PeriodicJobs(threading.Thread):
    """Sweeps until `stop` is set, beside the sending of texts, with a connection of its own."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="sweeper")
        self._stopping = stop

    def run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            close_old_connections()
            sweep()
        connection.close()


def sweep() -> None:
    """All sweeps, one pass each; nothing, if another worker is at it just now."""
    try:
        with _advisory_lock() as is_alone:
            if is_alone:
                for each in JOBS:
                    _run(each)
    except (DatabaseError, InterfaceError) as error:
        log.error("sweeping failed: %s; trying again", type(error).__name__)  # noqa: TRY400
        connection.close()


@contextmanager
def _advisory_lock() -> Iterator[bool]:
    """Is no other worker sweeping, over all machines? An advisory lock of this connection, which dies with it."""
    if connection.vendor != "postgresql":
        yield True
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        [is_alone] = cursor.fetchone()
        try:
            yield is_alone
        finally:
            if is_alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _run(each: Callable[[], int]) -> None:
    try:
        each()
    except Exception as error:  # noqa: BLE001
        # One that fails must not keep the others from going on.
        log.error("the sweep %s failed: %s", each.__name__, type(error).__name__)  # noqa: TRY400


def recover_leases() -> int:
    """A worker that held a message is gone: whether the carrier had the text is unknown. How many?"""
    late = OutboundMessage.objects.with_expired_lease(timezone.now())[:BATCH_SIZE]
    count = _each(late, lambda message: message.mark_unknown(reason="lease expired"))
    if count:
        log.warning("%d messages have an unknown outcome: their worker did not report back", count)
    return count


def fail_expired_messages() -> int:
    """Nobody would send them any more, and they would hold up others. How many?"""

    def give_up(message: OutboundMessage) -> None:
        with transaction.atomic():
            message.fail(reason="older than MESSAGE_MAX_AGE_SECONDS: it was not sent")
            undelivered_notice.notify_sender(message)

    return _each(OutboundMessage.objects.too_old(timezone.now())[:BATCH_SIZE], give_up)


def settle_unknown() -> int:
    """No receipt has settled them in time. `resend` sends them again; `hold` leaves them to staff. How many?"""
    if settings.UNKNOWN_OUTCOME_POLICY != "resend":
        return 0
    late = OutboundMessage.objects.due_for_resend(timezone.now())[:BATCH_SIZE]
    return _each(late, lambda message: message.resend(reason="no receipt settled it: UNKNOWN_OUTCOME_POLICY=resend"))


def match_receipts() -> int:
    """How many?"""
    return match_late_receipts(DeliveryReceipt.objects.since(timezone.now() - LATE_RECEIPTS))


def close_expired() -> int:
    """How many?"""
    expired = Conversation.objects.expired(timezone.now())[:BATCH_SIZE]
    return _each(expired, lambda conversation: conversation.close_expired())


def close_idle() -> int:
    """How many?"""
    return _each(Conversation.objects.idle(timezone.now())[:BATCH_SIZE], lambda conversation: conversation.close_idle())


def release_cooled_down() -> int:
    """From now on the pairs of numbers may be given to others. How many?"""
    now = timezone.now()
    with transaction.atomic():
        # One that is being opened again, or cut short, is left to whoever does it.
        late = Participant.objects.due_for_release(now).order_by("release_at")
        bite = dict(
            late.select_for_update(skip_locked=True, no_key=True).values_list("pk", "proxy_number")[:BATCH_SIZE]
        )
        Participant.objects.filter(pk__in=bite).update(released_at=now)
        VirtualNumber.objects.remove_live_pairs(Counter(bite.values()))
    return len(bite)


def relay_incomplete_long_messages() -> int:
    """Long texts of which a part did not come in time. How many?"""
    return _each(LongMessage.objects.due(timezone.now())[:BATCH_SIZE], long_messages.relay_incomplete)


def forget_dead_workers() -> int:
    """Those that have been silent for a day. How many?"""
    return Worker.objects.filter(seen_at__lt=timezone.now() - PURGE_AFTER).delete()[0]


def purge_shortages() -> int:
    """Those of which nobody asks any more. How many?"""
    old = Shortage.objects.before(timezone.now() - SHORTAGES_KEPT).values_list("pk", flat=True)
    return Shortage.objects.filter(pk__in=list(old[:BATCH_SIZE])).delete()[0]


def throttled(
    pause: float, sweep: Callable[[], int], *, clock: Callable[[], float] = time.monotonic
) -> Callable[[], int]:
    """A sweep that is too dear for every pass: for so many seconds after one, this process leaves it out."""
    next_at = clock()

    @wraps(sweep)
    def seldom() -> int:
        nonlocal next_at
        if clock() < next_at:
            return 0
        next_at = clock() + pause
        return sweep()

    return seldom


def _each(rows: Iterable[Any], verb: Callable[[Any], object]) -> int:
    """Call the verb on each row while there is time. How many changed? Another worker may have been first."""
    count, end = 0, time.monotonic() + TIME_BUDGET
    for row in rows:
        if time.monotonic() > end:
            break
        with suppress(StaleState):
            verb(row)
            count += 1
    return count


JOBS: Sequence[Callable[[], int]] = (
    recover_leases,
    settle_unknown,
    fail_expired_messages,
    match_receipts,
    close_expired,
    close_idle,
    # Before the numbers of those who wrote them may be given to others.
    relay_incomplete_long_messages,
    release_cooled_down,
    retire_drained,
    throttled(HEALTH_EVERY, quarantine_outliers),
    erase_old_texts,
    forget_dead_workers,
    purge_shortages,
)

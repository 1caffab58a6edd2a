"""Periodic jobs, run by the workers in small batches: expire leases and conversations, end cool-downs, and more.

A job is a function that changes a bounded number of rows and returns their count. JOBS, at the end, lists the jobs and
how long each waits after a run that found nothing.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from conversations.delivery import undelivered_notice
from conversations.delivery.receipts import match_late_receipts
from conversations.delivery.steps import log_given_up
from conversations.insight.sampling import sample_counters
from conversations.insight.troubles import current
from conversations.intake import long_messages
from conversations.models import (
    Conversation,
    DeliveryReceipt,
    FailureReason,
    HostClock,
    LimitUsage,
    LongMessage,
    OutboundMessage,
    Participant,
    TroubleEpisode,
    UnreadableRow,
    Worker,
)
from conversations.models.outbound_reasons import TOO_OLD
from conversations.models.worker import PURGE_AFTER
from conversations.retention.delete_rows import OldRows
from conversations.retention.erase_texts import erase_old_texts
from conversations.worker.lease import Lease
from conversations.worker.order_thread import wake_for_orders
from conversations.worker.schedule import Job, Schedule, lazily, throttled
from numbers.assignment.level import measure_levels
from numbers.health import quarantine_outliers
from numbers.models import VirtualNumber
from numbers.provisioning.release import retire_drained
from smsproxy.database.clock import database_now
from smsproxy.staff.models import Reveal
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# The limits of one job in one pass, rows and seconds, so that no job delays the others.
BATCH_SIZE = 500
TIME_BUDGET = 0.5
# For this long, receipts that arrived before their message was recorded are matched again.
LATE_RECEIPTS = timedelta(minutes=10)
# How long episodes of trouble are kept after their end.
EPISODES_KEPT = timedelta(days=365)
# Seconds between two looks for troubles, which take some fifty queries: the largest cost of an idle worker.
TROUBLES_EVERY = 30.0
# How long the use of a limit is kept after the limit is free again.
LIMITS_KEPT = timedelta(days=1)
# Seconds between two purges of it, which read the whole table, and the rows of one purge. An index on the moments would
# make each message slower.
LIMITS_EVERY = 60.0
LIMITS_BATCH_SIZE = 5000

# Seconds between two passes.
INTERVAL = 1.0
# Seconds between two runs that find nothing: of a job that somebody waits for, and of one that only cleans up. Nothing
# depends on these delays: a conversation has ended, and a message is too old, from its time on.
SOON = 5.0
LATER = 10.0
# The same for what is kept for a day or longer.
SELDOM = 60.0
# Seconds between two checks of the numbers' health. A check reads all receipts of its window.
HEALTH_EVERY = 300.0
# Seconds between two samples of the counters, for the figures of each hour.
SAMPLE_EVERY = 60.0
# Seconds between two checks of rows that could not be decrypted.
RECHECK_EVERY = 60.0


class PeriodicJobs(threading.Thread):
    """A thread that runs the jobs until `stop` is set, with its own database connection."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="periodic jobs")
        self._stopping = stop

    def run(self) -> None:
        schedule = Schedule()
        while not self._stopping.wait(INTERVAL):
            if jobs := schedule.due(JOBS):
                close_old_connections()
                schedule.record(jobs, run_jobs(jobs))
        connection.close()


def run_jobs(jobs: Sequence[Job] | None = None) -> dict[Job, int]:
    """Run these jobs once, or all of them. Return the rows that each changed.

    Do nothing if another worker is running jobs.
    """
    counts: dict[Job, int] = {}
    lease = Lease()
    try:
        for each in JOBS if jobs is None else jobs:
            if not lease.is_held():
                break
            counts[each] = _run(each)
    except (DatabaseError, InterfaceError) as error:
        log.error("the periodic jobs failed: %s; trying again", type(error).__name__)  # noqa: TRY400
        connection.close()
    lease.give_back()
    return counts


def _run(each: Job) -> int:
    try:
        return each()
    except Exception as error:  # noqa: BLE001
        # A job that fails must not stop the others.
        log.error("the periodic job %s failed: %s", each.__name__, type(error).__name__)  # noqa: TRY400
        return 0


def recover_leases() -> int:
    """Mark messages whose lease has expired as unknown: their worker is gone. Return their count."""

    def mark_unknown(message: OutboundMessage) -> None:
        message.mark_unknown(reason="lease expired")
        log_given_up(message, "its worker did not report back")

    count = _each(OutboundMessage.objects.with_expired_lease(database_now())[:BATCH_SIZE], mark_unknown)
    if count:
        log.warning("%d messages have an unknown outcome: their worker did not report back", count)
    return count


def fail_expired_messages() -> int:
    """Fail queued messages older than MESSAGE_MAX_AGE_SECONDS, which block their lines. Return their count."""

    reason = f"{TOO_OLD}: it was not sent"

    def give_up(message: OutboundMessage) -> None:
        with transaction.atomic():
            undelivered_notice.lock_thread(message)
            message.fail(reason=reason, failure=FailureReason.EXPIRED)
            undelivered_notice.notify_sender(message)
        log_given_up(message, reason)

    return _each(OutboundMessage.objects.too_old(database_now())[:BATCH_SIZE], give_up)


def settle_unknown() -> int:
    """Resend messages that no receipt has settled in time, if UNKNOWN_OUTCOME_POLICY is `resend`. Return their count.

    With `hold` they wait for a decision of staff.
    """
    if settings.UNKNOWN_OUTCOME_POLICY != "resend":
        return 0
    late = OutboundMessage.objects.due_for_resend(database_now())[:BATCH_SIZE]
    return _each(late, lambda message: message.resend(reason="no receipt settled it: UNKNOWN_OUTCOME_POLICY=resend"))


def match_receipts() -> int:
    """Match recent receipts that arrived before their message was recorded. Return their count."""
    return match_late_receipts(DeliveryReceipt.objects.since(database_now() - LATE_RECEIPTS))


def close_expired() -> int:
    """Close conversations that have reached their end. Return their count."""
    expired = Conversation.objects.expired(database_now())[:BATCH_SIZE]
    return _each(expired, lambda conversation: conversation.close_expired())


def close_idle() -> int:
    """Close conversations that have been idle too long. Return their count."""
    return _each(Conversation.objects.idle(database_now())[:BATCH_SIZE], lambda conversation: conversation.close_idle())


def release_cooled_down() -> int:
    """Release pairs whose cool-down has ended, so that they can be assigned again. Return their count."""
    now = database_now()
    with transaction.atomic():
        # Skip a pair that another transaction is reopening or cutting short.
        late = Participant.objects.due_for_release(now).order_by("release_at")
        bite = dict(
            late.select_for_update(skip_locked=True, no_key=True).values_list("pk", "proxy_number")[:BATCH_SIZE]
        )
        Participant.objects.filter(pk__in=bite).update(released_at=now)
        VirtualNumber.objects.remove_live_pairs(Counter(bite.values()))
    return len(bite)


def relay_incomplete_long_messages() -> int:
    """Relay long messages whose missing parts did not arrive in time. Return their count."""
    return _each(LongMessage.objects.due(database_now())[:BATCH_SIZE], long_messages.relay_incomplete)


def forget_dead_workers() -> int:
    """Delete workers that have been replaced, and workers and hosts silent for a day. Return their count."""
    now = database_now()
    hosts = HostClock.objects.filter(measured_at__lt=now - PURGE_AFTER)
    return Worker.objects.forgettable(now).delete()[0] + hosts.delete()[0]


def store_unreadable_rows() -> int:
    """Store which unreadable rows this process has met. Return their count."""
    return UnreadableRow.objects.store_met()


def recheck_unreadable_rows() -> int:
    """Forget unreadable rows that a key can decrypt now. Return their count."""
    return UnreadableRow.objects.recheck(BATCH_SIZE)


def note_troubles() -> int:
    """Store and log the troubles that begin and end. Return how many are active."""
    return len(current.look())


def purge_trouble_episodes() -> int:
    """Delete episodes of trouble that ended more than EPISODES_KEPT ago. Return their count."""
    old = TroubleEpisode.objects.ended_before(database_now() - EPISODES_KEPT).values_list("pk", flat=True)
    return TroubleEpisode.objects.filter(pk__in=list(old[:BATCH_SIZE])).delete()[0]


def purge_reveals() -> int:
    """Delete what staff had uncovered, once its time is over. The audit keeps it. Return the count."""
    over = Reveal.objects.over().order_by("until").values_list("pk", flat=True)
    return Reveal.objects.filter(pk__in=list(over[:BATCH_SIZE])).delete()[0]


def purge_unused_limits() -> int:
    """Delete the use of limits that nobody has used for a day, and that are free again. Return the count."""
    old = LimitUsage.objects.unused_since(database_now() - LIMITS_KEPT)
    with transaction.atomic():
        # Skip a row that a message is charged to at this moment.
        found = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:LIMITS_BATCH_SIZE])
        return LimitUsage.objects.filter(pk__in=found).delete()[0]


def _each(rows: Iterable[Any], verb: Callable[[Any], object]) -> int:
    """Call the verb on each row until the time is up, on one at least. Return how many rows changed.

    A row does not change if another worker was first.
    """
    count, end = 0, time.monotonic() + TIME_BUDGET
    for row in rows:
        with suppress(StaleState):
            verb(row)
            count += 1
        if time.monotonic() > end:
            break
    return count


JOBS: Sequence[Job] = (
    lazily(SOON, recover_leases),
    lazily(SOON, settle_unknown),
    lazily(LATER, fail_expired_messages),
    lazily(LATER, match_receipts),
    lazily(LATER, close_expired),
    lazily(LATER, close_idle),
    # Before the numbers of their authors can be assigned to other people.
    lazily(SOON, relay_incomplete_long_messages),
    lazily(LATER, release_cooled_down),
    lazily(LATER, retire_drained),
    lazily(SOON, wake_for_orders),
    throttled(HEALTH_EVERY, quarantine_outliers),
    lazily(LATER, erase_old_texts),
    lazily(SELDOM, forget_dead_workers),
    lazily(LATER, store_unreadable_rows),
    throttled(RECHECK_EVERY, recheck_unreadable_rows),
    throttled(TROUBLES_EVERY, note_troubles),
    throttled(SAMPLE_EVERY, sample_counters),
    throttled(HEALTH_EVERY, measure_levels),
    lazily(SELDOM, purge_trouble_episodes),
    lazily(SELDOM, purge_reveals),
    lazily(SELDOM, OldRows()),
    throttled(LIMITS_EVERY, purge_unused_limits),
)

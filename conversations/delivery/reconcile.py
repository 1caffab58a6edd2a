"""Search the carrier's own records for messages with an unknown outcome, and settle those that are found.

A record shows that the carrier received an attempt, as a receipt does, so the same code stores it. A missing record
proves nothing: it changes no state, and after the last search the message is marked for staff.

The carrier charges for records. So windows are short, those close to each other are asked for together, and requests
are limited. One worker searches at a time. It holds neither a lock nor a transaction while it waits for the carrier.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from conversations.delivery import undelivered_notice
from conversations.delivery.receipts import (
    attempt_of,
    match_late_receipts,
    opt_out_by_code,
    update_part,
    update_state_from_parts,
)
from conversations.models import AccountRateLimit, DeliveryReceipt, OutboundMessage, OutboundState, RecordSearch
from conversations.models.gcra import MAX_WAIT
from conversations.models.pace import estimated_price
from conversations.models.record_search import SEARCH_AFTER, SearchLeaseLost
from numbers.provisioning import retry
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import CarrierError, SentRecord, TemporaryFailure
from smsproxy.database.clock import database_now

log = logging.getLogger(__name__)

# The carrier receives a message between these margins around its attempt. They cover the difference of the clocks, and
# the time on the way.
BEFORE, AFTER = timedelta(seconds=5), timedelta(seconds=30)
# Windows that are this close are asked for together, up to this length.
CLOSE, MAX_MERGED = timedelta(seconds=30), timedelta(minutes=5)
# The carrier's limit of one window.
MAX_WINDOW = timedelta(hours=24)
# Messages of one round, and pages of one window, which have 1,000 records each.
BATCH_SIZE, MAX_PAGES = 1000, 20
# Seconds before each request: the carrier allows ten a second.
PAUSE = 0.2
# The wait after the first error. It doubles up to the longest.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=15)
# An error becomes an alert after this time: one failed request is nothing.
ALERT_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class Window:
    """A window of time in which the carrier may have received these messages."""

    start: datetime
    end: datetime
    messages: Sequence[OutboundMessage]


class _TooManyRecords(Exception):
    """The pages of a window do not end. Another search would cost the same, and end no better."""


def reconcile() -> None:
    """Search for all messages that are due, and store errors. Raises ShutdownRequested (see `retry.stop_on`)."""
    if settings.RECONCILE == "off":
        return
    windows = merge(OutboundMessage.objects.due_for_search(database_now())[:BATCH_SIZE])
    search = RecordSearch.take() if windows else None
    if search is None:
        return
    with suppress(SearchLeaseLost):
        try:
            for window in windows:
                _search(search, window)
        except CarrierError as error:
            log.warning("the carrier's records could not be searched: %s (code %s)", error.detail, error.code or "none")
            search.fail(f"{error.detail} (code {error.code})" if error.code else error.detail, _wait(search, error))
        except retry.ShutdownRequested:
            search.release()
            raise
        except Exception as error:
            search.fail(f"an unexpected {type(error).__name__}, see the log", _wait(search, None))
            raise
        else:
            search.succeed()


def reconcile_trouble() -> str:
    """Return why messages of unknown outcome are not searched for, as a sentence. "" if they are."""
    search = RecordSearch.objects.first() if settings.RECONCILE != "off" else None
    if search is None or search.failing_since is None:
        return ""
    now = database_now()
    if search.failing_since > now - ALERT_AFTER or not OutboundMessage.objects.due_for_search(now).exists():
        return ""
    return (
        f"The carrier's records cannot be searched since {search.failing_since:%Y-%m-%d %H:%M} UTC: "
        f"{search.last_error}. Messages of unknown outcome wait for it, and then for staff."
    )


def merge(messages: Iterable[OutboundMessage]) -> list[Window]:
    """Return the windows of these messages in order, with those close to each other as one."""
    # The longest first of those with the same start: the others lie in it.
    own = sorted((_window(message) for message in messages), key=lambda each: (each.start, each.start - each.end))
    merged: list[Window] = []
    for window in own:
        last = merged[-1] if merged else None
        if last and window.start <= last.end + CLOSE and window.end <= max(last.end, last.start + MAX_MERGED):
            merged[-1] = Window(last.start, max(last.end, window.end), [*last.messages, *window.messages])
        else:
            merged.append(window)
    return merged


def _window(message: OutboundMessage) -> Window:
    if message.attempted_at is None or message.attempt_ended_at is None:
        raise ValueError(f"{message} has no attempt of unknown outcome")
    start = message.attempted_at - BEFORE
    return Window(start, min(message.attempt_ended_at + AFTER, start + MAX_WINDOW), [message])


def _search(search: RecordSearch, window: Window) -> None:
    """Search one window, and settle what is found even if an error ends the search. Raises CarrierError."""
    asked_at = database_now()
    found: defaultdict[str, list[SentRecord]] = defaultdict(list)
    wanted = {message.client_ref: message for message in window.messages}
    is_complete = True
    try:
        _collect(search, window, wanted, found)
    except _TooManyRecords:
        log.warning("the carrier has more than %d pages of records for one window: staff decide", MAX_PAGES)
        is_complete = False
    finally:
        for client_ref, records in found.items():
            _settle(wanted[client_ref], records)
    for client_ref, message in wanted.items():
        if client_ref in found:
            continue
        if is_complete:
            _note_absence(message, asked_at)
        else:
            _give_up(message)


def _collect(
    search: RecordSearch,
    window: Window,
    wanted: Mapping[str, OutboundMessage],
    found: defaultdict[str, list[SentRecord]],
) -> None:
    """Read the pages of a window until all parts of all messages are found, or to the end. Raises _TooManyRecords."""
    cursor, seen = "", set[str]()
    for _ in range(MAX_PAGES):
        retry.pause(PAUSE)
        search.spend()
        page = get_carrier().sent_between(window.start, window.end, cursor)
        for record in page.records:
            client_ref = record.client_ref.partition(".")[0]
            if client_ref in wanted:
                found[client_ref].append(record)
        if not page.next_cursor or all(len(found.get(ref, ())) >= each.segments for ref, each in wanted.items()):
            return
        seen.add(cursor)
        cursor = page.next_cursor
        if cursor in seen:
            break
    raise _TooManyRecords


def _settle(wanted: OutboundMessage, records: Sequence[SentRecord]) -> None:
    """Store the parts that were found, whatever has become of the message since."""
    with transaction.atomic():
        undelivered_notice.lock_thread(wanted, may_opt_out=True)
        message = OutboundMessage.objects.select_for_update(no_key=True).defer("text").get(pk=wanted.pk)
        is_counted = message.parts.filter(attempt=wanted.attempts, price__isnull=False).exists()
        for record in records:
            attempt = attempt_of(record.client_ref)
            update_part(message, attempt, record.carrier_message_id, record.status, record.error_code, record.price)
        update_state_from_parts(message, "found in the carrier's records")
        for record in records:
            opt_out_by_code(message, record.status, record.error_code)
        match_late_receipts(
            DeliveryReceipt.objects.filter(carrier_message_id__in=[record.carrier_message_id for record in records])
        )
        if not is_counted:
            _correct_spent(wanted, records)


def _correct_spent(wanted: OutboundMessage, records: Sequence[SentRecord]) -> None:
    """Replace the estimate in the daily budget by the price, if it is known. The last step: see `correct_spent`."""
    prices = [each.price for each in records if attempt_of(each.client_ref) == wanted.attempts]
    if wanted.attempted_at is None or not any(price is not None for price in prices):
        return
    price = sum((estimated_price(1) if each is None else each for each in prices), Decimal(0))
    AccountRateLimit.correct_spent(price - estimated_price(wanted.segments), wanted.attempted_at.date())


def _note_absence(message: OutboundMessage, asked_at: datetime) -> None:
    """Count the searches that the age of the attempt makes up for. After the last one, tell staff."""
    if message.attempt_ended_at is None:
        return
    searches = sum(asked_at >= message.attempt_ended_at + after for after in SEARCH_AFTER)
    with transaction.atomic():
        is_changed = _still_unknown(message).filter(searches__lt=searches).update(searches=searches)
        if is_changed and searches == len(SEARCH_AFTER):
            _record_event(message, "not seen by the carrier")


def _give_up(message: OutboundMessage) -> None:
    """Leave the message to staff, without another search. It is not marked as "not seen by the carrier"."""
    with transaction.atomic():
        if _still_unknown(message).update(attempt_ended_at=None):
            _record_event(message, "the carrier has too many records of that time to search for it")


def _still_unknown(message: OutboundMessage) -> "QuerySet[OutboundMessage]":
    same = OutboundMessage.objects.filter(pk=message.pk, attempts=message.attempts)
    return same.filter(state=OutboundState.UNKNOWN)


def _record_event(message: OutboundMessage, reason: str) -> None:
    message.record_event(OutboundState.UNKNOWN, reason=reason, old_state=OutboundState.UNKNOWN)


def _wait(search: RecordSearch, error: CarrierError | None) -> timedelta:
    """Return the wait after an error: what the carrier asks for, or longer with each error in a row."""
    wait = min(FIRST_WAIT * (1 << min(search.failures, 10)), LONGEST_WAIT)
    asked = error.retry_after if isinstance(error, TemporaryFailure) and error.retry_after else 0
    return max(wait, timedelta(seconds=min(asked, MAX_WAIT)))

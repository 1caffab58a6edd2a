"""The worker: claim due texts, commit, call the carrier, record what became of each.

No transaction is open and no lock is held while the carrier is called. If this process dies in between, the message's
lease runs out and its outcome is unknown: `sweeps.recover_leases` says so, and nothing sends it again blindly.
"""

import logging
import queue
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection, transaction
from django.utils import timezone

from conversations import outbox
from conversations.models import OutboundMessage, OutboundState
from conversations.receipts import note_part
from conversations.sweeps import sweep
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import (
    AccountFault,
    CarrierError,
    OutcomeUnknown,
    ReceiptStatus,
    Refused,
    SenderFault,
    SendReply,
    TryLater,
)
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# Seconds.
POLL = 0.5
SWEEP_EVERY = 2.0
LONGEST_BACKOFF = 300.0
SENDER_FAULT_RETRY = 300.0
ACCOUNT_FAULT_RETRY = 60.0


@dataclass(frozen=True)
class Result:
    """What the carrier said to one message: its reply, or how the call failed."""

    message: OutboundMessage
    answer: SendReply | CarrierError


class Relay:
    """One worker: a loop that owns the database, and a pool of threads that call the carrier.

    concurrency: how many calls may be in flight at once.
    """

    def __init__(self, *, concurrency: int = 20) -> None:
        self._concurrency = concurrency
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._unrecorded: list[Result] = []
        self._in_flight = 0
        self._swept_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then wait for what is in flight and record it."""
        with self._pool() as pool:
            while not stop.is_set():
                self._turn(pool, claim=True)
            # Longer than a lease it is of no use: what cannot be recorded by then is `unknown`.
            end = time.monotonic() + settings.LEASE
            while (self._in_flight or self._unrecorded) and time.monotonic() < end:
                self._turn(pool, claim=False)
        connection.close()

    def drain(self) -> None:
        """Send what is due, one after the other in this thread, until nothing is."""
        while True:
            for message in self._claim(1):
                self._send(message)
            if not self._record_results():
                return

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=self._concurrency, thread_name_prefix="carrier")

    def _turn(self, pool: ThreadPoolExecutor, *, claim: bool) -> None:
        outbox.wake.clear()
        if not self._survive(pool, claim=claim):
            outbox.wake.wait(POLL)

    def _survive(self, pool: ThreadPoolExecutor, *, claim: bool) -> bool:
        """One step, which must not end the worker: results are kept until they are recorded."""
        try:
            return self._step(pool, claim=claim)
        except Exception as error:  # noqa: BLE001
            # Mostly the database, which is away or restarts. Whatever it is, a worker that ends sends nothing at all.
            log.error("a step of the relay failed: %s; trying again", type(error).__name__)  # noqa: TRY400
            connection.close()
            time.sleep(POLL)
            return False

    def _step(self, pool: ThreadPoolExecutor, *, claim: bool) -> bool:
        """Record what has come back, send what is due, sweep now and then. Was there anything to do?"""
        close_old_connections()
        recorded = self._record_results()
        free = self._concurrency - self._in_flight
        claimed = self._claim(free) if claim and free else []
        for message in claimed:
            pool.submit(self._send_in_thread, message)
        if time.monotonic() - self._swept_at > SWEEP_EVERY:
            self._swept_at = time.monotonic()
            sweep()
        return bool(recorded or claimed)

    def _claim(self, limit: int) -> list[OutboundMessage]:
        """Claim messages, and read what is encrypted of them. Those that cannot be read go back into the queue."""
        claimed = OutboundMessage.objects.claim(limit)
        self._in_flight += len(claimed)
        try:
            return list(OutboundMessage.objects.in_full([message.pk for message in claimed]))
        except Exception:  # noqa: BLE001
            readable = []  # One of them is to blame; or the database, and then all.
        for message in claimed:
            try:
                readable.append(OutboundMessage.objects.in_full([message.pk]).get())
            except Exception as error:  # noqa: BLE001
                log.error("message %s cannot be read: %s", message.pk, type(error).__name__)  # noqa: TRY400
                self._results.put(Result(message, TryLater(f"it cannot be read ({type(error).__name__})")))
        return readable

    def _send_in_thread(self, message: OutboundMessage) -> None:
        try:
            self._send(message)
        finally:
            connection.close()  # This thread's own, if the carrier used one.

    def _send(self, message: OutboundMessage) -> None:
        """Call the carrier, and hand what it says to the loop, whatever happens."""
        answer: SendReply | CarrierError
        try:
            answer = self._refusal_of_ours(message) or get_carrier().send(message.as_outgoing())
        except CarrierError as error:
            answer = error
        except Exception as error:  # noqa: BLE001
            # A bug of ours, before or after the text went out: nobody knows. Its words may hold numbers.
            log.error("sending message %s failed: %s", message.pk, type(error).__name__)  # noqa: TRY400
            answer = OutcomeUnknown(f"an unexpected {type(error).__name__}")
        self._results.put(Result(message, answer))
        outbox.wake.set()

    def _refusal_of_ours(self, message: OutboundMessage) -> CarrierError | None:
        """Why the carrier must not be called for it after all."""
        now = timezone.now()
        if message.is_too_old(now):
            return Refused("older than MESSAGE_MAX_AGE: it was not sent")
        if message.lease_until is None or now > message.lease_until - timedelta(seconds=settings.CARRIER_TIMEOUT):
            # This process slept between claim and call: others may soon take the message for one in doubt.
            return TryLater("its lease was about to run out: it was not sent", retry_after=0)
        if message.participant and message.participant.released_at:
            return Refused("its numbers stand for other people by now: it was not sent")
        return None

    def _record_results(self) -> int:
        while not self._results.empty():
            self._unrecorded.append(self._results.get())
            self._in_flight -= 1
        count = 0
        while self._unrecorded:
            try:
                record(self._unrecorded[0])
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001
                # One answer that cannot be written down must not stop all others. Its lease runs out: it is `unknown`.
                pk = self._unrecorded[0].message.pk
                log.error("the answer to message %s cannot be recorded: %s", pk, type(error).__name__)  # noqa: TRY400
            self._unrecorded.pop(0)
            count += 1
        return count


def record(result: Result) -> None:
    """Write down what became of a claimed message. An expired lease, or a receipt, may have been first."""
    with transaction.atomic():
        message = (
            OutboundMessage.objects.select_for_update(no_key=True, of=("self",))
            .select_related("sender")
            .defer("text")
            .get(pk=result.message.pk)
        )
        is_current = message.attempts == result.message.attempts and message.state in (
            OutboundState.SENDING,
            OutboundState.UNKNOWN,
        )
        if isinstance(result.answer, SendReply):
            _record_reply(message, result.message.attempts, result.answer)
        elif is_current:
            _record_failure(message, result.answer)


def _record_reply(message: OutboundMessage, attempt: int, reply: SendReply) -> None:
    """It was sent: that first of all, whatever else of the reply can be kept."""
    if OutboundState.SENT in message.ALLOWED[message.state]:
        message.move(
            OutboundState.SENT, reason="accepted", lease_until=None, error_code="", part_count=len(reply.parts)
        )
    for index, part in enumerate(reply.parts):
        note_part(
            message,
            attempt,
            part.carrier_message_id or f"{message.client_ref}.{attempt}/{index}",
            ReceiptStatus.UNKNOWN if part.accepted else ReceiptStatus.UNDELIVERED,
            part.error_code,
            part.price,
        )
    message.follow_parts()


def _record_failure(message: OutboundMessage, error: CarrierError) -> None:
    """The table of what each kind of failure does to the message."""
    match error:
        case Refused():
            message.fail(reason=error.detail, code=error.code)
        case TryLater():
            after = backoff(message.attempts) if error.retry_after is None else error.retry_after
            _retry(message, error, after)
        case SenderFault():
            _quarantine_sender(message, error)
            _retry(message, error, SENDER_FAULT_RETRY)
        case AccountFault():
            log.error("the carrier refuses the whole account: %s (code %s)", error.detail, error.code or "none")
            _retry(message, error, ACCOUNT_FAULT_RETRY)
        case _:
            if message.state == OutboundState.SENDING:
                message.lose_track(reason=error.detail)


def _retry(message: OutboundMessage, error: CarrierError, after: float) -> None:
    if message.state == OutboundState.UNKNOWN and message.due_at <= timezone.now():
        return  # We slept so long that its line has gone on. Staff or UNKNOWN_POLICY decide, as for the others.
    if message.is_too_old(timezone.now()):
        message.fail(reason=f"older than MESSAGE_MAX_AGE; last: {error.detail}", code=error.code)
    else:
        message.retry(after=after, reason=error.detail, code=error.code)


def _quarantine_sender(message: OutboundMessage, error: CarrierError) -> None:
    # Its id: our own filter would mask the number.
    log.error("the carrier refuses virtual number %s: %s (code %s)", message.sender_id, error.detail, error.code)
    try:
        message.sender.quarantine(reason=error.detail)
    except StaleState:
        return  # It is already, or has been given up.


def backoff(attempts: int) -> float:
    """Seconds to wait after so many attempts: doubling, with full jitter, so that failures do not come back in step."""
    return random.uniform(0.5, min(LONGEST_BACKOFF, 2.0 ** min(attempts, 10)))  # noqa: S311

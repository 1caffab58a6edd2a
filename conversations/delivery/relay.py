"""The relay: claim due messages, commit, call the carrier, record each result.

No transaction is open and no lock is held while the carrier is called. If this process dies during a call, the lease of
the message expires. The job `recover_leases` then marks it unknown, and nothing resends it blindly.
"""

import logging
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, close_old_connections, connection

from conversations.delivery import wakeup
from conversations.delivery.circuit_breaker import CircuitBreaker
from conversations.delivery.claim import Claim, ClaimOutcomeUnknown, claim, has_queued, requeue_claim
from conversations.delivery.claimed import Claimed
from conversations.delivery.heartbeat import Heartbeat
from conversations.delivery.result import Result
from conversations.delivery.results import record_all
from conversations.delivery.steps import log_attempt
from conversations.models import AccountRateLimit
from conversations.models.outbound_reasons import OPTED_OUT, TOO_OLD
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import (
    CarrierError,
    OutcomeUnknown,
    OutgoingText,
    PermanentFailure,
    RecipientOptedOut,
    SendReply,
    TemporaryFailure,
)
from smsproxy.crypto import UnreadableValue
from smsproxy.logs.fields import bound

log = logging.getLogger(__name__)

# Seconds between polls while nothing wakes the worker.
POLL = 1.0
# Seconds between two claims, at most. While no message is queued, a poll only asks for that, which costs a tenth. A
# claim also begins the account's day.
CLAIM_EVERY = 15.0
# Seconds between two log lines while each step fails, once a second.
LOG_FAILURES_EVERY = 60.0
# Seconds between two turns, at least: many messages cost hardly more to claim and record than one. The interval grows
# with the calls in flight, up to twice this value.
BATCH_INTERVAL = 0.015
# A message that cannot be decrypted fails after this many tries, which take about 20 minutes.
UNREADABLE_TRIES = 15


class Relay:
    """One worker: a loop that owns the database connection, and a pool of threads that call the carrier.

    concurrency: the calls that may be in flight at once.
    """

    def __init__(self, *, concurrency: int = 20) -> None:
        self._concurrency = concurrency
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._unrecorded: list[Result] = []
        self._in_doubt: list[datetime] = []
        self._in_flight = 0
        self._is_woken = True
        self._claimed_at = float("-inf")
        self._failure_logged_at: float | None = None
        self._reach = CircuitBreaker()
        self._heartbeat = Heartbeat(concurrency)

    def work(self, stop: threading.Event) -> None:
        """Send until `stop` is set, then wait for the calls in flight and record them."""
        with self._pool() as pool:
            while not stop.is_set():
                self._iterate(pool, claim=True)
            # Waiting longer than a lease is useless: what cannot be recorded by then is `unknown`.
            end = time.monotonic() + settings.SEND_LEASE_SECONDS
            while (self._in_flight or self._unrecorded or self._in_doubt) and time.monotonic() < end:
                self._iterate(pool, claim=False)

    def sign_off(self) -> None:
        """Remove this worker from the list of live workers."""
        self._heartbeat.end()

    def send_due(self, *, at_once: int = 1) -> None:
        """Send all due messages in this thread, one after the other. at_once: how many to claim in one turn."""
        while True:
            messages, wait = self._claim(at_once)
            for claimed in messages:
                self._send(claimed)
            if not self._record_results():
                # Wait for a rate limit, but not for the end of a pause.
                if wait is None or AccountRateLimit.load().is_paused:
                    return
                time.sleep(max(0.0, wait))

    def _pool(self) -> ThreadPoolExecutor:
        """Return a pool with all threads started. A later failure to start one would strand a claimed message."""
        pool = ThreadPoolExecutor(max_workers=self._concurrency, thread_name_prefix="carrier")
        all_here = threading.Barrier(self._concurrency + 1)
        try:
            for _ in range(self._concurrency):
                pool.submit(all_here.wait)
            all_here.wait()
        except BaseException:
            all_here.abort()  # Otherwise the started threads would wait forever.
            raise
        return pool

    def _iterate(self, pool: ThreadPoolExecutor, *, claim: bool) -> None:
        """Run one turn of the loop. An error does not end the worker: results are kept until they are recorded."""
        began = time.monotonic()
        wakeup.wake.clear()
        try:
            wait = self._step(pool, claim=claim)
        except Exception as error:  # noqa: BLE001
            # Mostly the database is away or restarts. Go on after any error: a worker that ends sends nothing.
            self._log_failure(error)
            connection.close()
            time.sleep(POLL)
            return
        if self._failure_logged_at is not None:
            log.warning("the steps of the relay succeed again")
            self._failure_logged_at = None
        gather = BATCH_INTERVAL * (1 + min(1, 4 * self._in_flight / self._concurrency))
        time.sleep(max(0.0, began + gather - time.monotonic()))
        # The event is already set if a message or a result arrived since the turn began.
        self._is_woken = wakeup.wake.wait(wait)

    def _log_failure(self, error: Exception) -> None:
        """Log that a step failed: the first of several at once, then one a minute."""
        now = time.monotonic()
        if self._failure_logged_at is None or now >= self._failure_logged_at + LOG_FAILURES_EVERY:
            self._failure_logged_at = now
            hint = " (is DATABASE_URL right, and has manage.py migrate been run?)" if _is_of_database(error) else ""
            log.error("a step of the relay failed: %s%s; trying again", type(error).__name__, hint)

    def _step(self, pool: ThreadPoolExecutor, *, claim: bool) -> float:
        """Record results and send messages. Return the seconds for which nothing is due unless something wakes us."""
        close_old_connections()
        clock_is_off = self._heartbeat.beat(self._in_flight, self._reach.trouble)
        self._hand_back()
        self._record_results()
        if not claim or clock_is_off:
            return POLL
        messages, wait = self._claim(self._concurrency - self._in_flight)
        for claimed in messages:
            pool.submit(self._send_in_thread, claimed)
        return POLL if wait is None else min(POLL, max(0.0, wait))

    def _claim(self, limit: int) -> Claim:
        limit = self._reach.permitted_calls(limit, in_flight=self._in_flight)
        if not limit or not self._may_find_messages():
            return Claim([], None)
        try:
            taken = claim(limit)
        except ClaimOutcomeUnknown as error:
            self._in_doubt.append(error.lease_until)
            raise
        self._in_flight += len(taken.messages)
        return taken

    def _may_find_messages(self) -> bool:
        """Return whether a claim is worth its cost."""
        is_due = time.monotonic() >= self._claimed_at + CLAIM_EVERY
        if not (self._is_woken or is_due or has_queued()):
            return False
        self._claimed_at = time.monotonic()
        return True

    def _hand_back(self) -> None:
        """Requeue the messages of claims whose outcome is unknown."""
        while self._in_doubt:
            requeue_claim(self._in_doubt[0])
            self._in_doubt.pop(0)

    def _send_in_thread(self, claimed: Claimed) -> None:
        try:
            self._send(claimed)
        finally:
            connection.close()  # This thread's own, if the carrier used one.

    def _send(self, claimed: Claimed) -> None:
        """Call the carrier and pass its answer to the loop, whatever happens."""
        began = time.monotonic()
        with bound(**claimed.log_fields):
            text = self._precheck(claimed) or self._read(claimed)
            if isinstance(text, CarrierError):
                result = Result(claimed, text, is_ours=True)
            else:
                result = Result(claimed, self._call_carrier(claimed, text))
        self._results.put(result)
        wakeup.wake.set()
        log_attempt(result, seconds=time.monotonic() - began)

    def _call_carrier(self, claimed: Claimed, text: OutgoingText) -> SendReply | CarrierError:
        try:
            return get_carrier().send(text)
        except CarrierError as error:
            return error
        except Exception as error:  # noqa: BLE001
            # A bug of ours, perhaps after the message was sent. The exception's text may hold numbers: do not log it.
            log.error("sending a message failed: %s", type(error).__name__)  # noqa: TRY400
            return OutcomeUnknown(f"an unexpected {type(error).__name__}")

    def _precheck(self, claimed: Claimed) -> CarrierError | None:
        """Return why the carrier must not be called for this message after all, or None."""
        now, message = claimed.database_now(), claimed.message
        if claimed.is_opted_out:
            return RecipientOptedOut(f"{OPTED_OUT}: it was not sent")
        if message.is_too_old(now):
            return PermanentFailure(f"{TOO_OLD}: it was not sent")
        if message.lease_until is None or now > message.lease_until - timedelta(
            seconds=settings.CARRIER_TIMEOUT_SECONDS
        ):
            # This process slept between claim and call. Other workers may soon mark the message unknown.
            return TemporaryFailure("its lease was about to run out: it was not sent", retry_after=0)
        if claimed.has_left:
            return PermanentFailure("its recipient is no longer in the conversation with this phone: not sent")
        if claimed.is_released:
            return PermanentFailure("its pair of numbers was given to other people: not sent")
        return None

    def _read(self, claimed: Claimed) -> OutgoingText | CarrierError:
        try:
            return claimed.as_outgoing()
        except UnreadableValue:
            # Another worker may have the key. If none has, the message must not block its line for ever.
            is_last = claimed.message.failures + 1 >= UNREADABLE_TRIES
            return (PermanentFailure if is_last else TemporaryFailure)("no key of ENCRYPTION_KEYS can decrypt it")
        except Exception as error:  # noqa: BLE001
            log.error("a message cannot be read: %s", type(error).__name__)  # noqa: TRY400
            return TemporaryFailure(f"it cannot be read ({type(error).__name__})")

    def _record_results(self) -> int:
        """Record the results that have arrived. Return their count."""
        while not self._results.empty():
            result = self._results.get()
            self._unrecorded.append(result)
            self._in_flight -= 1
            self._reach.record(result)
        count = len(self._unrecorded)
        plain = [result for result in self._unrecorded if result.is_fully_accepted]
        if plain and self._try_to_record(plain):
            self._unrecorded = [result for result in self._unrecorded if not result.is_fully_accepted]
        while self._unrecorded:
            self._try_to_record(self._unrecorded[:1])
            self._unrecorded.pop(0)
        return count

    def _try_to_record(self, results: list[Result]) -> bool:
        """Record these results. Return False if that failed for good, at least for some of them.

        Raises the error of an unavailable database: the caller tries again later.
        """
        try:
            return record_all(results)
        except Exception as error:
            # These two errors are about the result itself. After any other, the database is away or read-only.
            if _is_of_database(error) and not isinstance(error, (DataError, IntegrityError)):
                raise
            # A result that cannot be recorded must not stop the others. Its lease expires: it becomes `unknown`.
            refs = [result.message.client_ref for result in results]
            log.error("a result cannot be recorded: %s", type(error).__name__, extra={"message_refs": refs})  # noqa: TRY400
            return False


def _is_of_database(error: Exception) -> bool:
    return isinstance(error, (DatabaseError, InterfaceError))

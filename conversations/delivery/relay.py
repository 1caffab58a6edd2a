"""The worker: claim due texts, commit, call the carrier, record what became of each.

No transaction is open and no lock is held while the carrier is called. If this process dies in between, the message's
lease runs out and its outcome is unknown: `sweeps.recover_leases` says so, and nothing sends it again blindly.
"""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, close_old_connections, connection
from django.utils import timezone

from conversations.delivery import wakeup
from conversations.delivery.circuit_breaker import CircuitBreaker
from conversations.delivery.claim import Claim, ClaimOutcomeUnknown, claim, requeue_claim
from conversations.delivery.heartbeat import Heartbeat
from conversations.delivery.results import Result, record_all
from conversations.models import AccountRateLimit, OutboundMessage
from conversations.worker.periodic_jobs import PeriodicJobs
from conversations.worker.sqlite_lock import alone_on_sqlite
from conversations.worker.top_up_thread import Buyer
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import CarrierError, OutcomeUnknown, PermanentFailure, SendReply, TemporaryFailure

log = logging.getLogger(__name__)

# Seconds. POLL: how soon a worker looks by itself if nothing wakes it.
POLL = 0.5
# From one turn to the next at least, since many messages are claimed and written down as cheaply as one. The more are
# in flight, the longer, up to twice as long: then there is more to do in each turn.
BATCH_INTERVAL = 0.015
# How long a thread may compute while others wait for their turn. At Python's own 5 ms the many threads that wait for
# the network hold up the one that owns the database, and it them.
THREAD_SWITCH_INTERVAL = 0.0005


class Relay:
    """One worker: a loop that owns the database, and a pool of threads that call the carrier.

    concurrency: how many calls may be in flight at once.
    """

    def __init__(self, *, concurrency: int = 20) -> None:
        self._concurrency = concurrency
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._unrecorded: list[Result] = []
        self._in_doubt: list[datetime] = []
        self._in_flight = 0
        self._reach = CircuitBreaker()
        self._heartbeat = Heartbeat(concurrency)

    def run(self, stop: threading.Event, *, started: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set, then wait for what is in flight and record it.

        started: called once it works. Raises WorkerAlreadyRunning: on SQLite, there is one already.
        """
        with alone_on_sqlite(), _switching_threads_often():
            started()
            listener = wakeup.Listener()
            listener.start()
            beside = [PeriodicJobs(stop), Buyer(stop)]
            for thread in beside:
                thread.start()
            with self._pool() as pool:
                while not stop.is_set():
                    self._iterate(pool, claim=True)
                # Longer than a lease it is of no use: what cannot be recorded by then is `unknown`.
                end = time.monotonic() + settings.SEND_LEASE_SECONDS
                while (self._in_flight or self._unrecorded or self._in_doubt) and time.monotonic() < end:
                    self._iterate(pool, claim=False)
            for thread in beside:
                thread.join()
            listener.stop()
            self._heartbeat.end()
            connection.close()

    def send_due(self) -> None:
        """Send what is due, one after the other in this thread, until nothing is."""
        while True:
            messages, next_at = self._claim(1)
            for message in messages:
                self._send(message)
            if not self._record_results():
                # A rate is waited for, but not what the carrier has told to wait.
                if next_at is None or AccountRateLimit.load().is_paused:
                    return
                time.sleep(max(0.0, (next_at - timezone.now()).total_seconds()))

    def _pool(self) -> ThreadPoolExecutor:
        """With all its threads: one that cannot be started later would leave a claimed text behind."""
        pool = ThreadPoolExecutor(max_workers=self._concurrency, thread_name_prefix="carrier")
        all_here = threading.Barrier(self._concurrency + 1)
        try:
            for _ in range(self._concurrency):
                pool.submit(all_here.wait)
            all_here.wait()
        except BaseException:
            all_here.abort()  # Else those that are there would wait for ever.
            raise
        return pool

    def _iterate(self, pool: ThreadPoolExecutor, *, claim: bool) -> None:
        """One turn of the loop, which must not end the worker: answers are kept until they are recorded."""
        began = time.monotonic()
        wakeup.wake.clear()
        try:
            wait = self._step(pool, claim=claim)
        except Exception as error:  # noqa: BLE001
            # Mostly the database, which is away or restarts. Whatever it is, a worker that ends sends nothing at all.
            hint = " (is DATABASE_URL right, and has manage.py migrate been run?)" if _is_of_database(error) else ""
            log.error("a step of the relay failed: %s%s; trying again", type(error).__name__, hint)  # noqa: TRY400
            connection.close()
            time.sleep(POLL)
            return
        gather = BATCH_INTERVAL * (1 + min(1, 4 * self._in_flight / self._concurrency))
        time.sleep(max(0.0, began + gather - time.monotonic()))
        # Whatever has come in since the turn began has set it again.
        wakeup.wake.wait(wait)

    def _step(self, pool: ThreadPoolExecutor, *, claim: bool) -> float:
        """Record what has come back, send what may be sent. How long is there nothing to do, if nothing wakes us?"""
        close_old_connections()
        clock_is_off = self._heartbeat.beat(self._in_flight, self._reach.trouble)
        self._hand_back()
        self._record_results()
        if not claim or clock_is_off:
            return POLL
        messages, next_at = self._claim(self._concurrency - self._in_flight)
        for message in messages:
            pool.submit(self._send_in_thread, message)
        if next_at is None:
            return POLL
        return min(POLL, max(0.0, (next_at - timezone.now()).total_seconds()))

    def _claim(self, limit: int) -> Claim:
        limit = self._reach.permitted_calls(limit, in_flight=self._in_flight)
        if not limit:
            return Claim([], None)
        try:
            claimed = claim(limit)
        except ClaimOutcomeUnknown as error:
            self._in_doubt.append(error.lease_until)
            raise
        self._in_flight += len(claimed.messages)
        return claimed

    def _hand_back(self) -> None:
        """What was perhaps taken, in a claim whose answer was lost."""
        while self._in_doubt:
            requeue_claim(self._in_doubt[0])
            self._in_doubt.pop(0)

    def _send_in_thread(self, message: OutboundMessage) -> None:
        try:
            self._send(message)
        finally:
            connection.close()  # This thread's own, if the carrier used one.

    def _send(self, message: OutboundMessage) -> None:
        """Call the carrier, and hand what it says to the loop, whatever happens."""
        refusal = self._precheck(message)
        answer = refusal or self._call_carrier(message)
        self._results.put(Result(message, answer, is_ours=refusal is not None))
        wakeup.wake.set()

    def _call_carrier(self, message: OutboundMessage) -> SendReply | CarrierError:
        try:
            return get_carrier().send(message.as_outgoing())
        except CarrierError as error:
            return error
        except Exception as error:  # noqa: BLE001
            # A bug of ours, before or after the text went out: nobody knows. Its words may hold numbers.
            log.error("sending message %s failed: %s", message.pk, type(error).__name__)  # noqa: TRY400
            return OutcomeUnknown(f"an unexpected {type(error).__name__}")

    def _precheck(self, message: OutboundMessage) -> CarrierError | None:
        """Why the carrier must not be called for it after all."""
        now = timezone.now()
        if message.is_too_old(now):
            return PermanentFailure("older than MESSAGE_MAX_AGE_SECONDS: it was not sent")
        if message.lease_until is None or now > message.lease_until - timedelta(
            seconds=settings.CARRIER_TIMEOUT_SECONDS
        ):
            # This process slept between claim and call: others may soon take the message for one in doubt.
            return TemporaryFailure("its lease was about to run out: it was not sent", retry_after=0)
        if message.released_at:
            return PermanentFailure("its numbers stand for other people by now: it was not sent")
        try:
            message.decrypt()
        except Exception as error:  # noqa: BLE001
            log.error("message %s cannot be read: %s", message.pk, type(error).__name__)  # noqa: TRY400
            return TemporaryFailure(f"it cannot be read ({type(error).__name__})")
        return None

    def _record_results(self) -> int:
        """Write down what has come back. How many answers?"""
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
        """Raises what the database's absence raises: then they are recorded later. False: they are not, or not all."""
        try:
            return record_all(results)
        except Exception as error:
            # Of the database's errors only these are about the answer itself. With any other, it is away or read-only.
            if _is_of_database(error) and not isinstance(error, (DataError, IntegrityError)):
                raise
            # An answer that cannot be written down must not stop all others. Its lease runs out: it is `unknown`.
            pks = ", ".join(str(result.message.pk) for result in results)
            log.error("the answer to message %s cannot be recorded: %s", pks, type(error).__name__)  # noqa: TRY400
            return False


def _is_of_database(error: Exception) -> bool:
    return isinstance(error, (DatabaseError, InterfaceError))


@contextmanager
def _switching_threads_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)

"""A worker's circuit breaker: a worker that cannot reach the carrier waits and leaves the messages to the others.

The fault may be in its own network, resolver or certificates. The account is therefore not paused for all workers.
"""

import logging
from datetime import timedelta

from django.utils import timezone

from conversations.delivery.result import Result
from conversations.models.gcra import MAX_PAUSE, exponential_backoff
from smsproxy.carriers.base import CarrierError, FaultScope, OutcomeUnknown, TemporaryFailure

log = logging.getLogger(__name__)

# After this many calls in a row without an answer the worker stops. Otherwise an outage makes every outcome unknown.
FAILURE_THRESHOLD = 5
# Seconds: the first wait. Each failed trial doubles it, up to MAX_PAUSE.
UNREACHED_WAIT = 1.0
SILENT_WAIT = 5.0


class CircuitBreaker:
    """The state of one worker. trouble: why it waits, or "" if it does not."""

    def __init__(self) -> None:
        self.trouble = ""
        self._silences = 0
        self._failures = 0
        self._ready_at = timezone.now()

    def permitted_calls(self, free: int, *, in_flight: int) -> int:
        """Return how many of the free calls may be made: none during a wait, one trial after it."""
        if not self.trouble:
            return free
        is_waiting = timedelta(0) < self._ready_at - timezone.now() <= timedelta(seconds=MAX_PAUSE)
        return 0 if is_waiting or in_flight else min(free, 1)

    def record(self, result: Result) -> None:
        """Open or close the circuit by the result of one call."""
        match result.answer:
            case _ if result.is_ours:
                return
            case TemporaryFailure(scope=FaultScope.WORKER) as error:
                self._wait(error, UNREACHED_WAIT)
            case OutcomeUnknown() as error:
                self._silences += 1
                if self._silences >= FAILURE_THRESHOLD or self.trouble:
                    self._wait(error, SILENT_WAIT)
            case _:
                self._silences = self._failures = 0
                self.trouble = ""

    def _wait(self, error: CarrierError, seconds: float) -> None:
        now = timezone.now()
        if self.trouble and now < self._ready_at:
            return  # The call began before the wait did.
        self._failures = self._failures + 1 if self.trouble else 0
        self._ready_at = now + exponential_backoff(seconds, self._failures)
        if not self.trouble:
            log.error("this worker stops sending for now: %s", error.detail)
        self.trouble = error.detail

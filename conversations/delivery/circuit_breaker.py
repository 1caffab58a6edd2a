"""Whether this worker reaches the carrier. Where it does not, it waits by itself and leaves the texts to the others.

Its own network may be at fault, its resolver, its certificates: that is no reason to pause the account for all.
"""

import logging
from datetime import timedelta

from django.utils import timezone

from conversations.delivery.results import Result
from conversations.models.pace import MAX_PAUSE, exponential_backoff
from smsproxy.carriers.base import CarrierError, FaultScope, OutcomeUnknown, TemporaryFailure

log = logging.getLogger(__name__)

# So many calls in a row without an answer, and the worker stops calling: else an outage leaves every text in doubt.
FAILURE_THRESHOLD = 5
# Seconds: the first wait. Each text that tries in vain doubles it, up to MAX_PAUSE.
UNREACHED_WAIT = 1.0
SILENT_WAIT = 5.0


class CircuitBreaker:
    """trouble: why this worker waits; "" if it does not."""

    def __init__(self) -> None:
        self.trouble = ""
        self._silences = 0
        self._failures = 0
        self._ready_at = timezone.now()

    def permitted_calls(self, free: int, *, in_flight: int) -> int:
        """How many of its free calls may be made: during a wait none, and after it one, which tries."""
        if not self.trouble:
            return free
        is_waiting = timedelta(0) < self._ready_at - timezone.now() <= timedelta(seconds=MAX_PAUSE)
        return 0 if is_waiting or in_flight else min(free, 1)

    def record(self, result: Result) -> None:
        """What the call of this message says of the network."""
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
            return  # It was under way when the wait began.
        self._failures = self._failures + 1 if self.trouble else 0
        self._ready_at = now + exponential_backoff(seconds, self._failures)
        if not self.trouble:
            log.error("this worker sends nothing for now: %s", error.detail)
        self.trouble = error.detail

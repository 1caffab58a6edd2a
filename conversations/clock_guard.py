"""Answer 503 to webhooks and the API while the clock of this host is far wrong.

A host whose clock is ahead would otherwise end conversations early and accept or refuse signatures by a wrong age. The
clock is measured by the first request of a process, and then by one request a minute. While it is wrong, it is measured
every few seconds, so that the host recovers by itself. The admin and /metrics go on, to show the trouble.
"""

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponseBase

from conversations.insight.troubles import current
from conversations.models import HostClock, UnreadableRow, WebhookWatch, Worker
from conversations.models.host_clock import describe_skew
from smsproxy.api.problems import clock_is_wrong
from smsproxy.database.clock import database_now
from smsproxy.database.deadline import run_with_deadline

log = logging.getLogger(__name__)

Respond = Callable[[HttpRequest], HttpResponseBase]

# Seconds by which the clock may differ from the database's.
MAX_SKEW = 30.0
# Seconds between two measurements, and while the clock is wrong or the database does not answer.
_INTERVAL = 60.0
_RETRY = 5.0
_DATABASE_TIMEOUT = 2.0
_GUARDED = ("/webhooks/", "/api/")


class ClockGuard:
    """The clock of this process's host, as last measured. skew: seconds ahead of the database's."""

    def __init__(self) -> None:
        self.skew = 0.0
        self._has_worker = True
        self._lock = Lock()
        self._next_at: float | None = None

    def is_wrong(self) -> bool:
        """Return whether the clock is too wrong to serve requests. Measure it if a measurement is due."""
        # The first threads wait for the first measurement. Later one thread measures, and the others go on.
        if self._is_due() and self._lock.acquire(blocking=self._next_at is None):
            has_measured = False
            try:
                if self._is_due():
                    has_measured = self._measure()
            finally:
                self._lock.release()
            if has_measured and not self._has_worker:
                current.look_briefly()  # Otherwise a worker does it.
        return abs(self.skew) > MAX_SKEW

    def _is_due(self) -> bool:
        return self._next_at is None or monotonic() >= self._next_at

    def _measure(self) -> bool:
        """Measure, and return whether the database answered."""
        was_wrong, answered = abs(self.skew) > MAX_SKEW, True
        try:
            run_with_deadline(self._report, seconds=_DATABASE_TIMEOUT)
        except (DatabaseError, InterfaceError):
            answered = False  # The request will notice by itself. The last measurement counts.
        is_wrong = abs(self.skew) > MAX_SKEW
        self._next_at = monotonic() + (_RETRY if is_wrong or not answered else _INTERVAL)
        if is_wrong and not was_wrong:
            log.error(
                "webhooks and the API get 503 from this host: its clock is %s. Synchronise it, with chrony for example",
                describe_skew(self.skew),
            )
        elif was_wrong and not is_wrong:
            log.warning("the clock of this host is right again: it serves webhooks and the API")
        return answered

    def _report(self) -> None:
        self.skew = HostClock.objects.measure()
        UnreadableRow.objects.store_met()  # What the pages of this process have met.
        WebhookWatch.objects.store_old_secret()
        self._has_worker = Worker.objects.alive(database_now()).exists()


guard = ClockGuard()


def refuse_while_clock_is_wrong(get_response: Respond) -> Respond:
    """Answer 503 to webhooks and the API while the clock of this host is wrong."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(_GUARDED) and guard.is_wrong():
            return clock_is_wrong(request)
        return get_response(request)

    return respond

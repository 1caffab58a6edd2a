"""The worker process: the relay, and beside it the periodic jobs, the purchases and the search in carrier's records."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from conversations.delivery.relay import Relay
from conversations.delivery.wakeup import Listener
from conversations.worker.certificate_thread import CertificateThread
from conversations.worker.order_thread import OrderThread
from conversations.worker.periodic_jobs import PeriodicJobs
from conversations.worker.reconcile_thread import ReconcileThread
from conversations.worker.sqlite_lock import alone_on_sqlite
from conversations.worker.top_up_thread import TopUpThread

# Seconds for which a thread may compute while others wait. At Python's own 5 ms, the threads that call the carrier and
# the thread that owns the database delay each other.
THREAD_SWITCH_INTERVAL = 0.0005


def run(relay: Relay, stop: threading.Event, *, started: Callable[[], None] = lambda: None) -> None:
    """Work until `stop` is set, then wait for the calls in flight and record them.

    started: called once the worker runs. Raises WorkerAlreadyRunning if another worker uses the same SQLite database.
    """
    with alone_on_sqlite(), _switching_threads_often():
        started()
        listener = Listener()
        listener.start()
        CertificateThread(stop).start()
        beside: list[threading.Thread] = [PeriodicJobs(stop), TopUpThread(stop), OrderThread(stop)]
        if settings.RECONCILE != "off":
            beside.append(ReconcileThread(stop))
        for thread in beside:
            thread.start()
        relay.work(stop)
        for thread in beside:
            thread.join()
        listener.stop()
        relay.sign_off()
        connection.close()


@contextmanager
def _switching_threads_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)

"""`manage.py relay`: run a worker until it is told to stop, or ask whether one is alive on this host."""

import logging
import signal
import socket
import threading
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from conversations.delivery.reconcile import reconcile
from conversations.delivery.relay import Relay
from conversations.insight.status import MAX_COUNT
from conversations.management.show_status import show_status
from conversations.models import Worker
from conversations.models.worker import DEAD_AFTER
from conversations.worker import process
from conversations.worker.periodic_jobs import run_jobs
from conversations.worker.sqlite_lock import WorkerAlreadyRunning, alone_on_sqlite
from numbers.provisioning.staff_order import carry_out_all
from numbers.provisioning.top_up import top_up_all
from smsproxy import tracing
from smsproxy.arguments import argument
from smsproxy.checks import TAG
from smsproxy.database.clock import database_now
from smsproxy.database.pooler import exit_if_pooler_is_wrong
from smsproxy.values import whole_number

log = logging.getLogger(__name__)


class Command(BaseCommand):
    # Django's own checks load all pages, forms and views, which a worker does not need.
    requires_system_checks = (TAG,)
    help = (
        "Send the messages in the outbox, run the periodic jobs (leases, expiry, cool-downs) and top up the pools, "
        "until SIGTERM or Ctrl-C. Calls in flight are finished first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concurrency",
            type=argument(partial(whole_number, least=1)),
            default=20,
            help="calls to the carrier at once (default 20)",
        )
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--once", action="store_true", help="do what is due now, then exit")
        instead.add_argument("--status", action="store_true", help="the same as manage.py status")
        instead.add_argument(
            "--healthcheck",
            action="store_true",
            help="send nothing. Exit code 0: a worker of this host has a recent heartbeat. Exit code 1: none has, or "
            "the database does not answer",
        )
        parser.add_argument(
            "--json", action="store_true", help=f"with --status: print JSON. Counts of messages end at {MAX_COUNT}"
        )

    def handle(
        self, *, concurrency: int, once: bool, status: bool, healthcheck: bool, json: bool, **options: Any
    ) -> None:
        if json and not status:
            raise CommandError("--json goes with --status.", returncode=2)
        if status:
            show_status(self.stdout, as_json=json)
            return
        if healthcheck:
            self._check_health()
            return
        exit_if_pooler_is_wrong()
        tracing.start()
        relay = Relay(concurrency=concurrency)
        try:
            self._work(relay, concurrency, once=once)
        except WorkerAlreadyRunning as error:
            raise CommandError(str(error)) from None

    def _work(self, relay: Relay, concurrency: int, *, once: bool) -> None:
        if once:
            with alone_on_sqlite():
                run_jobs()
                relay.send_due()
                top_up_all()
                carry_out_all()
                reconcile()
            return
        stop = threading.Event()

        def ask_to_stop(*args: object) -> None:
            stop.set()  # Do not wake the loop: that takes a lock which the loop may hold.

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        started = partial(log.info, "the relay is working, %d calls at once; Ctrl-C stops it", concurrency)
        process.run(relay, stop, started=started)
        log.info("the relay has stopped: nothing is in flight")

    def _check_health(self) -> None:
        host = socket.gethostname()
        try:
            found = Worker.objects.alive(database_now()).of_host(host).first()
        except DatabaseError as error:
            fix = "Check DATABASE_URL, and whether `manage.py migrate` has been run."
            raise CommandError(f"The database does not answer as expected: {type(error).__name__}. {fix}") from None
        if found is None:
            raise CommandError(f"No worker of {host} had a heartbeat in the last {DEAD_AFTER:.0f} s. Start one.")
        self.stdout.write(f"{found.name} is alive.")

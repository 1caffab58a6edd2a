"""`manage.py relay`: run a worker until it is told to stop, or show the status of all workers."""

import json
import signal
import threading
from dataclasses import asdict
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from conversations.delivery.relay import Relay
from conversations.insight.collect_status import collect_status
from conversations.insight.status import MAX_COUNT
from conversations.management import status_table
from conversations.worker import process
from conversations.worker.periodic_jobs import run_jobs
from conversations.worker.sqlite_lock import WorkerAlreadyRunning, alone_on_sqlite
from numbers.management.arguments import argument
from numbers.provisioning.top_up import top_up_all
from smsproxy.checks import TAG
from smsproxy.values import whole_number


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
        instead.add_argument(
            "--status",
            action="store_true",
            help="send nothing: show what is paused, why, since when, and how many messages wait. Exit code 0: all is "
            "well. Exit code 1: sending is paused or something needs a person; the last line on standard error says "
            "what",
        )
        parser.add_argument(
            "--json", action="store_true", help=f"print the status as JSON. Counts of messages end at {MAX_COUNT}"
        )

    def handle(self, *, concurrency: int, once: bool, status: bool, json: bool, **options: Any) -> None:
        if json and not status:
            raise CommandError("--json goes with --status.", returncode=2)
        if status:
            self._show_status(as_json=json)
            return
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
            return
        stop = threading.Event()

        def ask_to_stop(*args: object) -> None:
            stop.set()  # Do not wake the loop: that takes a lock which the loop may hold.

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        working = f"The relay is working, {concurrency} calls at once. Ctrl-C stops it."
        process.run(relay, stop, started=lambda: self.stdout.write(working))
        self.stdout.write("The relay has stopped: nothing is in flight.")

    def _show_status(self, *, as_json: bool) -> None:
        status = collect_status()
        if as_json:
            self.stdout.write(
                json.dumps({**asdict(status), "troubles": status.troubles}, cls=DjangoJSONEncoder, indent=2)
            )
        else:
            self.stdout.write("\n".join([*status_table.lines(status), ""]))
        if status.troubles:
            raise CommandError(" ".join(status.troubles.values()), returncode=1)

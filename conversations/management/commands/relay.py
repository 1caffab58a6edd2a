"""The worker: sends what is in the outbox, until it is told to stop."""

import signal
import threading
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from conversations import outbox
from conversations.relay import Relay
from conversations.sweeps import sweep


def _one_or_more(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ArgumentTypeError(f"expected a whole number, 1 or more; found {text!r}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Send the texts in the outbox and do what time asks for (leases, expiry, cool-downs), until SIGTERM or Ctrl-C; "
        "what is in flight then is finished first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concurrency", type=_one_or_more, default=20, help="calls to the carrier at once (default 20)"
        )
        parser.add_argument("--once", action="store_true", help="do what is due now, and end")

    def handle(self, *, concurrency: int, once: bool, **options: Any) -> None:
        relay = Relay(concurrency=concurrency)
        if once:
            sweep()
            relay.drain()
            return
        stop = threading.Event()

        def ask_to_stop(*args: object) -> None:
            stop.set()
            outbox.wake.set()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        self.stdout.write(f"The relay is working, {concurrency} calls at once. Ctrl-C stops it.")
        relay.run(stop)
        self.stdout.write("The relay has stopped: nothing is in flight.")

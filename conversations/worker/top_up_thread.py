"""Top up the pools from time to time."""

from conversations.worker.round_thread import RoundThread
from numbers.provisioning.top_up import top_up_all

# Seconds between two rounds of top-ups.
EVERY = 60.0


class TopUpThread(RoundThread):
    work = "topping up"

    def do_round(self) -> None:
        top_up_all()

    def seconds_between(self) -> float:
        return EVERY

"""Search the carrier's records from time to time."""

from conversations.delivery.reconcile import reconcile
from conversations.worker.round_thread import RoundThread

# Seconds between two rounds.
EVERY = 30.0


class ReconcileThread(RoundThread):
    work = "searching the carrier's records"

    def do_round(self) -> None:
        reconcile()

    def seconds_between(self) -> float:
        return EVERY

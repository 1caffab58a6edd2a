"""Carry out the orders of numbers that staff place in the admin."""

from conversations.worker.round_thread import RoundThread
from numbers.provisioning.staff_order import carry_out_all

# Seconds between two looks for orders. Staff watch the progress of theirs.
EVERY = 5.0


class OrderThread(RoundThread):
    work = "carrying out orders"

    def do_round(self) -> None:
        carry_out_all()

    def seconds_between(self) -> float:
        return EVERY

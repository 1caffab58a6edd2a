"""Carry out the orders of numbers that staff place in the admin.

The periodic jobs look for orders, over the connection that they have. A worker without orders thus costs no connection.
"""

import threading

from conversations.worker.round_thread import RoundThread
from numbers.provisioning.staff_order import carry_out_all, is_any_due

# Set when an order is due.
wanted = threading.Event()
# Seconds between two looks at whether the worker stops.
_LOOK = 1.0


class OrderThread(RoundThread):
    """Carries out the orders that are due, and waits until there are others."""

    work = "carrying out orders"

    def do_round(self) -> None:
        wanted.clear()
        carry_out_all()

    def wait(self) -> None:
        while not self._stopping.is_set() and not wanted.wait(_LOOK):
            pass


def wake_for_orders() -> int:
    """Wake the thread if an order is due. Return 0: no row was changed."""
    if is_any_due():
        wanted.set()
    return 0

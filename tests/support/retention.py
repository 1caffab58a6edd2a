"""Helpers of the tests of retention: receipts, passes over the tables, and counts of rows."""

from conversations.delivery.receipts import receive_receipt
from conversations.retention.delete_rows import OldRows
from smsproxy.carriers.base import Receipt, ReceiptStatus
from tests.support.outbox import later

DAY = 24 * 3600


def arrives(message, status=ReceiptStatus.DELIVERED):
    part = message.parts.get()
    receive_receipt(
        Receipt(
            carrier_message_id=part.carrier_message_id,
            client_ref=message.carrier_ref,
            status=status,
            error_code="",
            network="23410",
        )
    )


def pass_over():
    """Run passes until the tables have been walked to their end, and return the number of rows deleted."""
    job, total = OldRows(), 0
    while count := job():
        total += count
    return total


def walk_again(time_machine):
    """Let the walks begin again at the first row, as they do once a day."""
    later(time_machine, DAY + 1)
    pass_over()
    return pass_over()


def counts(*models):
    return [model.objects.count() for model in models]

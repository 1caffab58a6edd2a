"""Helpers for the search in the carrier's records: a lost answer, and what the records say."""

from datetime import datetime
from decimal import Decimal

from conversations.delivery.reconcile import reconcile
from conversations.delivery.relay import Relay
from smsproxy.carriers.base import OutcomeUnknown, ReceiptStatus, SentPage, SentRecord
from tests.support.outbox import later, queue

MINUTE = 60


def lose_answer(to, carrier, text="hello"):
    """Send a text whose answer is lost, and return its message."""
    carrier.script = [OutcomeUnknown("read timeout")]
    [message] = queue(to, text)
    Relay().send_due()
    message.refresh_from_db()
    return message


def record_of(message, part=1, status=ReceiptStatus.DELIVERED, **changes) -> SentRecord:
    """Return the carrier's record of a part of the message's present attempt."""
    found = {
        "client_ref": message.carrier_ref,
        "carrier_message_id": f"record-{message.pk}-{message.attempts}-{part}",
        "status": status,
        "price": Decimal("0.0333"),
    }
    return SentRecord(**found | changes)


def page(*records, next_cursor="") -> SentPage:
    return SentPage(records=records, next_cursor=next_cursor)


def search_after(time_machine, minutes: float) -> None:
    later(time_machine, minutes * MINUTE)
    reconcile()


def spans(carrier) -> list[tuple[datetime, datetime]]:
    """Return the windows that the carrier was asked for."""
    return [(start, end) for start, end, _ in carrier.searched]

"""Store delivery receipts and update the messages that they are about.

Receipts arrive repeatedly and in any order, sometimes before our own call to the carrier has returned. The status of a
part only rises in rank, and the first final status stays.
"""

import logging
from decimal import Decimal
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models.expressions import RawSQL

from conversations.delivery import undelivered_notice
from conversations.delivery.opt_out import opt_out_by_carrier
from conversations.delivery.steps import log_receipt
from conversations.models import DeliveryReceipt, OutboundMessage, OutboundPart, OutboundState
from conversations.models.receipt import DeliveryReceiptQuerySet
from smsproxy.carriers import get_carrier
from smsproxy.carriers.base import Receipt, ReceiptStatus
from smsproxy.database.clock import DatabaseNow, from_stored
from smsproxy.metrics.counting import observe
from smsproxy.metrics.families import TO_PHONE

log = logging.getLogger(__name__)

# By hand: a Subquery of the ORM costs half a millisecond more CPU per receipt.
_SENT_AT = RawSQL(
    "(SELECT max(created_at) FROM conversations_messageevent AS event"
    " WHERE event.message_id = conversations_outboundmessage.id AND event.new_state = 'sent')",
    [],
)
_READ_AT = RawSQL("statement_timestamp()", [])


def receive_receipt(receipt: Receipt) -> bool:
    """Store one receipt and apply it. Return False, with nothing changed, if it is a repeat."""
    row = DeliveryReceipt(
        carrier_message_id=receipt.carrier_message_id,
        status=receipt.status,
        error_code=receipt.error_code,
        client_ref=receipt.client_ref,
        network=receipt.network,
        received_at=DatabaseNow(),
    )
    try:
        with transaction.atomic():
            _lock_thread(row)
            _match(row)
            row.save(force_insert=True)
            _apply(row)
    except IntegrityError:
        # Repeats are rare, so they are not looked up beforehand.
        known = DeliveryReceipt.objects.filter(
            carrier_message_id=row.carrier_message_id, status=row.status, error_code=row.error_code
        )
        if known.exists():
            log.info("delivery receipt: repeated, no effect", extra={"carrier_message_id": row.carrier_message_id})
            return False
        raise
    log_receipt(row)
    return True


def match_late_receipts(receipts: DeliveryReceiptQuerySet) -> int:
    """Apply receipts that arrived before we knew the carrier's message id. Return how many were matched.

    Only receipts without a client-ref can arrive too early to match.
    """
    known = OutboundPart.objects.values("carrier_message_id")
    late = list(receipts.unmatched().filter(carrier_message_id__in=known).order_by("received_at")[:100])
    for row in late:
        with transaction.atomic():
            _lock_thread(row)
            _match(row)
            row.save(update_fields=["message", "virtual_number"])
            _apply(row)
        log_receipt(row)
    return len(late)


def update_part(
    message: OutboundMessage,
    attempt: int,
    carrier_message_id: str,
    status: ReceiptStatus,
    error_code: str = "",
    price: Decimal | None = None,
) -> None:
    """Store what is known of one message part. Never lower its rank. The caller has locked the message's row."""
    part, _ = OutboundPart.objects.get_or_create(
        carrier_message_id=carrier_message_id, defaults={"message": message, "attempt": attempt, "price": price}
    )
    if part.message_id != message.pk:
        log.error("the carrier gave messages %s and %s the same id", part.message_id, message.pk)
        return
    if status.rank > ReceiptStatus(part.status).rank:
        part.status, part.error_code = status.value, error_code
    part.price = part.price if price is None else price
    part.save(update_fields=["status", "error_code", "price"])


def update_state_from_parts(message: OutboundMessage, reason: str = "delivery receipt") -> None:
    """Derive the message's state from its parts, and notify its author of a loss. The caller has locked the row."""
    before = message.state
    message.update_from_parts(reason)
    if message.state == OutboundState.DELIVERED != before:
        _observe_delivered(message, before)
    if message.state != before and before != OutboundState.FAILED:  # The author was notified of the failure.
        undelivered_notice.notify_sender(message)


def _observe_delivered(message: OutboundMessage, before: str) -> None:
    """Count the time from the carrier's acceptance to the receipt, at the commit. Nothing, if it is not known."""
    sent_at = getattr(message, "sent_at", None)
    if before == OutboundState.SENDING:
        seconds = 0.0  # The receipt was faster than our own record.
    elif sent_at is not None:
        seconds = (from_stored(message.read_at) - from_stored(sent_at)).total_seconds()  # type: ignore[attr-defined]
    else:
        return
    transaction.on_commit(partial(observe, TO_PHONE, seconds))


def opt_out_by_code(message: OutboundMessage, status: ReceiptStatus, error_code: str) -> None:
    """Opt out the recipient if the carrier says so with this code."""
    if status == ReceiptStatus.UNDELIVERED and error_code in get_carrier().opted_out_codes:
        opt_out_by_carrier(message, error_code)


def attempt_of(carrier_ref: str) -> int:
    """Return the attempt that this reference names, see `OutboundMessage.carrier_ref`."""
    attempt = carrier_ref.partition(".")[2]
    return int(attempt) if attempt.isdecimal() and len(attempt) < 7 else 1


def _lock_thread(row: DeliveryReceipt) -> None:
    """Lock what a lost message changes besides the message. Other receipts cost nothing here."""
    if row.status != ReceiptStatus.UNDELIVERED:
        return
    known = OutboundMessage.objects.only("kind", "conversation", "recipient")
    found = known.filter(client_ref=row.client_ref.partition(".")[0]).first() if row.client_ref else None
    found = found or known.filter(parts__carrier_message_id=row.carrier_message_id).first()
    if found is not None:
        may_opt_out = row.error_code in get_carrier().opted_out_codes
        undelivered_notice.lock_thread(found, may_opt_out=may_opt_out)


def _match(row: DeliveryReceipt) -> None:
    row.message = _find(row)
    row.virtual_number_id = row.message.sender_id if row.message else None


def _find(row: DeliveryReceipt) -> OutboundMessage | None:
    """Return the message of the receipt, locked. Find it by our client-ref, or by the carrier's id of a part."""
    locked = OutboundMessage.objects.select_for_update(no_key=True).defer("text")
    locked = locked.annotate(sent_at=_SENT_AT, read_at=_READ_AT)
    if row.client_ref:
        found = locked.filter(client_ref=row.client_ref.partition(".")[0]).first()
        if found is not None:
            return found
    part = OutboundPart.objects.filter(carrier_message_id=row.carrier_message_id).first()
    return locked.get(pk=part.message_id) if part else None


def _apply(row: DeliveryReceipt) -> None:
    message = row.message
    if message is None:
        return
    status = ReceiptStatus(row.status)
    update_part(message, attempt_of(row.client_ref), row.carrier_message_id, status, row.error_code)
    update_state_from_parts(message)
    opt_out_by_code(message, status, row.error_code)

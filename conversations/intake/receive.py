"""Process an inbound message: read, decide, write, commit. Only then may the webhook answer 200.

conversations/webhooks/views.py calls `receive`. For a part of a long message it calls long_messages.py, which calls
`process_message` with the joined message.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from conversations.delivery.outbox import queue_answer, queue_relay
from conversations.delivery.wakeup import wake_workers
from conversations.intake import fast_path
from conversations.intake.gates import decide
from conversations.intake.read_arrival import InboundContext, read_arrival, read_arrival_locked
from conversations.models import InboundMessage, InboundOutcome, LimitUsage, LongMessage
from conversations.trust.limits import message_charges
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState


def receive(text: InboundText, *, raw: str = "") -> None:
    """Process a message that came in one piece, committed on return. A repeat of it has no effect.

    raw: the whole webhook, stored if the sender or the recipient is not a number that we can store as such.
    """
    if fast_path.is_available() and _try_fast_path(text):
        return
    with transaction.atomic():
        process_message(text, raw=raw)


def _try_fast_path(text: InboundText) -> bool:
    """Relay an ordinary message. Return False, with nothing written, if the general path must handle it."""
    context = read_arrival(text.sender, text.recipient, text.text)
    if decide(context) != InboundOutcome.RELAYED or not context.is_open:
        return False
    done = fast_path.write_relayed(text, context)
    if done is fast_path.RelayResult.DONE:
        transaction.on_commit(wake_workers)
    return done is not fast_path.RelayResult.CONFLICT


def process_message(
    text: InboundText,
    *,
    long_message: LongMessage | None = None,
    missing_parts: int = 0,
    received_at: datetime | None = None,
    raw: str = "",
) -> InboundMessage | None:
    """Record a message with its outcome, and queue its relays or a notice, in the caller's transaction.

    Return None if this carrier message id is stored already. long_message: the long message that it was joined from.
    missing_parts: the number of its parts that never came. received_at: the arrival of its last part; None: now.
    """
    received_at = received_at or timezone.now()
    context = read_arrival_locked(text.sender, text.recipient, text.text)
    if long_message and context.author and context.author.pair_was_reassigned_since(received_at):
        # While we waited for its parts, the pair of numbers was given to another conversation.
        context = context.without_author()
    sender = _stored_sender(text, context)
    message = InboundMessage(
        carrier_message_id=text.carrier_message_id,
        outcome=decide(context),
        sender=sender,
        virtual_number=context.virtual_number,
        participant=context.author,
        text=text.text,
        raw="" if sender and context.virtual_number else raw,
        concat_ref=text.concat_ref,
        part=text.part,
        parts=text.parts,
        long_message=long_message,
        missing_parts=missing_parts,
        sent_at=text.sent_at,
        received_at=received_at,
    )
    return message if _write(message, context) else None


def _stored_sender(text: InboundText, context: InboundContext) -> RealNumber | None:
    """Return the sender, stored if they are new. Return None for a virtual number of ours, or without a number."""
    if context.is_loop or not text.sender:
        return None
    return context.sender or RealNumber.objects.get_or_create_many([text.sender])[text.sender]


def _write(message: InboundMessage, context: InboundContext) -> bool:
    """Store the message and what follows from its outcome. Return False if it is stored already."""
    if not InboundMessage.objects.record(message):
        return False
    if message.outcome == InboundOutcome.RELAYED and (outcome := _accept(context)) != InboundOutcome.RELAYED:
        message.outcome = outcome
        message.save(update_fields=["outcome"])
    if message.outcome == InboundOutcome.RELAYED and context.author:
        context.author.conversation.touch()
        for other in context.recipients:
            queue_relay(message, other, context.relayed_text)
    else:
        _queue_notice(message, context)
    return True


def _accept(context: InboundContext) -> InboundOutcome:
    """Charge the limits and reopen the conversation if necessary. Return another outcome, with neither done, if not.

    A concurrent message may have used up a limit after the gates decided.
    """
    if context.author is None:
        return InboundOutcome.NO_ROUTE
    charges = message_charges(context.author.real_number_id, context.author.conversation_id)
    with transaction.atomic():
        is_within_limits = len(LimitUsage.objects.consume_each(charges)) == len(charges)
        if is_within_limits and _ensure_open(context):
            return InboundOutcome.RELAYED
        transaction.set_rollback(True)
    return InboundOutcome.ENDED if is_within_limits else InboundOutcome.LIMITED


def _ensure_open(context: InboundContext) -> bool:
    """Reopen the conversation if it has ended and its policy says so. Return False if the message has come too late.

    Its time may have ended after the gates decided, and one of its numbers may be in another conversation.
    """
    if context.is_open:
        return True
    if context.author is None or not context.reopens:
        return False
    try:
        context.author.conversation.reopen(reason="a late text")
    except StaleState:
        return False
    return True


def store_undecodable(carrier_message_id: str, raw: str, reason: str) -> InboundMessage | None:
    """Store a signed webhook that we cannot parse, for staff. Return None if it is stored already."""
    message = InboundMessage(
        carrier_message_id=carrier_message_id, outcome=InboundOutcome.UNDECODABLE, raw=raw, reason=reason[:200]
    )
    return message if InboundMessage.objects.record(message) else None


def _queue_notice(message: InboundMessage, context: InboundContext) -> None:
    """Tell a person that nobody received their message. Numbers of ours and senders without a number get no notice."""
    if message.sender and message.virtual_number and message.virtual_number.can_sms:
        queue_answer(message.virtual_number, message.sender, _notice(message, context))


def _notice(message: InboundMessage, context: InboundContext) -> str:
    """Return the notice for the sender, or "" for none."""
    notices = {
        InboundOutcome.ENDED: settings.ENDED_NOTICE,
        InboundOutcome.NO_ROUTE: settings.NO_ROUTE_NOTICE,
        InboundOutcome.LIMITED: settings.LIMITED_NOTICE,
        InboundOutcome.TOO_LONG: settings.TOO_LONG_NOTICE,
    }
    notice: str = notices.get(InboundOutcome(message.outcome), "")
    if message.outcome == InboundOutcome.TOO_LONG:
        numbers = {"{segments}": context.segments, "{most}": settings.MAX_SEGMENTS}
        for name, number in numbers.items():
            notice = notice.replace(name, str(number))
    return notice

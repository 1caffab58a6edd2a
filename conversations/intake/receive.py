"""Process an inbound message: read, decide, write, commit. Only then may the webhook answer 200.

conversations/webhooks/views.py calls `receive`. For a part of a long message it calls long_messages.py, which calls
`process_message` with the joined message.
"""

from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction

from conversations.delivery.outbox import queue_answer, queue_notice_once, queue_relay
from conversations.delivery.steps import log_inbound, log_repeated
from conversations.delivery.wakeup import wake_workers
from conversations.intake import fast_path
from conversations.intake.gates import decide
from conversations.intake.read_arrival import InboundContext, read_arrival, read_arrival_locked
from conversations.models import InboundMessage, InboundOutcome, LimitUsage, LongMessage
from conversations.models.own_texts import text_in
from conversations.trust import loop_breaker
from conversations.trust.destinations import is_destination
from conversations.trust.keyword_answers import answer_keyword, opted_out_notice
from conversations.trust.limits import message_charges
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText
from smsproxy.database.clock import database_now
from smsproxy.metrics.counting import count
from smsproxy.metrics.families import RECEIVED, RELAYED
from smsproxy.services.texts import TextKind
from smsproxy.states import StaleState

_NOTICES = {
    InboundOutcome.ENDED: TextKind.ENDED,
    InboundOutcome.NO_ROUTE: TextKind.NO_ROUTE,
    InboundOutcome.BLOCKED: TextKind.BLOCKED,
    InboundOutcome.LIMITED: TextKind.LIMITED,
    InboundOutcome.TOO_LONG: TextKind.TOO_LONG,
}


def receive(text: InboundText, *, raw: str = "") -> None:
    """Process a message that came in one piece, committed on return. A repeat of it has no effect.

    raw: the whole webhook, stored if the sender or the recipient is not a number that we can store as such.
    """
    arrived_at = None
    if fast_path.is_available():
        context = read_arrival(text.sender, text.recipient, text.text, written_at=text.sent_at)
        if _relay_fast(text, context):
            return
        arrived_at = context.now
    arrived_at = arrived_at or database_now()  # Before the wait for the conversation, which may end in it.
    with transaction.atomic():
        process_message(text, received_at=arrived_at, raw=raw)


def _relay_fast(text: InboundText, context: InboundContext) -> bool:
    """Relay an ordinary message. Return False, with nothing written, if the general path must handle it."""
    if decide(context) != InboundOutcome.RELAYED or not context.is_open:
        return False
    done = fast_path.write_relayed(text, context)
    if done is fast_path.RelayResult.DONE:
        transaction.on_commit(wake_workers)
        count(RECEIVED, outcome="relayed")
        count(RELAYED, len(context.recipients))
    return done is not fast_path.RelayResult.CONFLICT


def process_message(
    text: InboundText,
    *,
    long_message: LongMessage | None = None,
    missing_parts: int = 0,
    received_at: datetime | None = None,
    first_part_at: datetime | None = None,
    raw: str = "",
) -> InboundMessage | None:
    """Record a message with its outcome, and queue its relays or a notice, in the caller's transaction.

    Return None if this carrier message id is stored already. long_message: the long message that it was joined from.
    missing_parts: the number of its parts that never came. received_at: the arrival of its last part; None: now.
    first_part_at: the arrival of its first part. While we waited for the others, its pair of numbers may have been
    given to another conversation.
    """
    received_at = received_at or database_now()
    written_at = min(time for time in (received_at, first_part_at, text.sent_at) if time)
    context = read_arrival_locked(
        text.sender, text.recipient, text.text, written_at=written_at, first_part_at=first_part_at
    )
    sender = _stored_sender(text, context)
    outcome = decide(context)
    message = InboundMessage(
        carrier_message_id=text.carrier_message_id,
        outcome=outcome,
        reason=context.loop if outcome == InboundOutcome.HELD else "",
        sender=sender,
        virtual_number=context.virtual_number,
        participant=context.author or context.predecessor,
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
        transaction.on_commit(partial(log_repeated, message.carrier_message_id))
        return False
    if message.outcome == InboundOutcome.RELAYED and (outcome := _accept(context)) != InboundOutcome.RELAYED:
        message.outcome = outcome
        message.save(update_fields=["outcome"])
    author = context.author
    refs: list[str] = []
    match message.outcome:
        case InboundOutcome.RELAYED if author:
            author.conversation.touch(context.now)
            refs = [queue_relay(message, other, context.relayed_text).client_ref for other in context.recipients]
            loop_breaker.remember(author.conversation_id, context.entry)
        case InboundOutcome.HELD if author and context.loop:
            author.conversation.hold(reason=context.loop)
        case InboundOutcome.KEYWORD if context.keyword and message.sender:
            number, sent_at = context.virtual_number, message.sent_at
            answer_keyword(context.keyword, message.sender, number, author=author, sent_at=sent_at)
        case _:
            _queue_notice(message, context)
    conversation = author.conversation if author else None
    transaction.on_commit(partial(log_inbound, message, conversation=conversation, message_refs=refs))
    return True


def _accept(context: InboundContext) -> InboundOutcome:
    """Charge the limits and reopen the conversation if necessary. Return another outcome, with neither done, if not.

    A concurrent message may have used up a limit after the gates decided.
    """
    if context.author is None:
        return InboundOutcome.NO_ROUTE
    conversation = context.author.conversation
    charges = message_charges(context.author.real_number_id, conversation.pk, conversation.service_id)
    with transaction.atomic():
        is_within_limits = len(LimitUsage.objects.consume_each(charges, at=context.now)) == len(charges)
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
    if not InboundMessage.objects.record(message):
        log_repeated(carrier_message_id)
        return None
    log_inbound(message)
    return message


def _queue_notice(message: InboundMessage, context: InboundContext) -> None:
    """Tell a person that nobody received their message. Numbers of ours and senders without a number get no notice."""
    sender, number = message.sender, message.virtual_number
    if not (sender and number and number.can_sms):
        return
    match message.outcome:
        case InboundOutcome.OPTED_OUT:
            notice, dedup_key = opted_out_notice(context.author, context.others) if context.author else ("", "")
            if notice and context.author:
                queue_notice_once(dedup_key, number, sender, notice, participant=context.author)
        case _:
            notice = _notice(message, context)
            # A stranger's number may be one that costs much to answer.
            if notice and (context.author or is_destination(sender.number, number.pool)):
                # The pair of a predecessor stands for another conversation now.
                earlier = context.predecessor.conversation_id if context.predecessor else None
                queue_answer(number, sender, notice, participant=context.author, conversation_id=earlier)


def _notice(message: InboundMessage, context: InboundContext) -> str:
    """Return the notice for the sender, or "" for none."""
    kind = _NOTICES.get(InboundOutcome(message.outcome))
    if kind is None:
        return ""
    about = context.author or context.predecessor
    notice = text_in(about.conversation if about else None, kind)
    if message.outcome == InboundOutcome.TOO_LONG:
        numbers = {"{segments}": context.segments, "{most}": settings.MAX_SEGMENTS}
        for name, number in numbers.items():
            notice = notice.replace(name, str(number))
    return notice

"""Queue messages in the outbox, in the caller's transaction, and wake the workers after its commit.

Nothing is queued for a person who has opted out, except the answer to a keyword of theirs. For relays this is checked
where their recipients are read: conversations/intake/read_arrival.py.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction

from conversations.delivery.wakeup import wake_workers
from conversations.models import (
    InboundMessage,
    LimitScope,
    LimitUsage,
    MessageEvent,
    MessageKind,
    OutboundMessage,
    Participant,
)
from conversations.models.limit_usage import Charge, notices_subject
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.gsm7 import segments
from smsproxy.database.clock import database_now
from smsproxy.metrics.counting import count_on_commit
from smsproxy.metrics.families import RELAYED


def queue_relay(inbound: InboundMessage, to: Participant, text: str) -> OutboundMessage:
    """Queue a message that relays an inbound message, and is as old as that one.

    to: one of the recipients that `read_arrival` returned in this transaction, so not a person who has opted out.
    """
    count_on_commit(RELAYED)
    return _queue(MessageKind.RELAY, to.proxy_number_id, to.real_number_id, text, participant=to, inbound=inbound)


def queue_notice(to: Participant, text: str) -> OutboundMessage | None:
    """Queue a notice to a participant. Return None if they have opted out."""
    if _has_opted_out(to.real_number_id):
        return None
    return _queue(MessageKind.NOTICE, to.proxy_number_id, to.real_number_id, text, participant=to)


def queue_confirmations(texts: Iterable[tuple[Participant, str]], at: datetime) -> None:
    """Queue several confirmations with as many queries as one takes. The rows of the people are loaded and locked.

    at: the database's time.
    """
    messages = OutboundMessage.objects.bulk_create(
        OutboundMessage(
            kind=MessageKind.CONFIRMATION,
            sender=to.proxy_number,
            recipient=to.real_number,
            text=text,
            segments=segments(text).count,
            participant=to,
            conversation=to.conversation,
            created_at=at,
            due_at=at,
        )
        for to, text in texts
        if to.real_number.opted_out_at is None
    )
    MessageEvent.objects.bulk_create(
        MessageEvent(
            message=message,
            new_state=message.state,
            reason=f"queued as {MessageKind.CONFIRMATION.label}",
            created_at=at,
        )
        for message in messages
    )
    transaction.on_commit(wake_workers)


def queue_answer(sender: VirtualNumber, recipient: RealNumber, text: str) -> bool:
    """Queue an automatic answer to a person's own message, unless they have had enough of them. Return whether queued.

    Answers of all kinds share the limits, so a person who is a machine cannot draw one after another.
    """
    if not text or _has_opted_out(recipient.pk):
        return False
    charges = [
        Charge(LimitScope.NOTICES, notices_subject(sender.pk, recipient.pk)),
        Charge(LimitScope.PERSON_NOTICES, recipient.pk),
    ]
    if LimitUsage.objects.consume(charges):
        return False
    _queue(MessageKind.NOTICE, sender.pk, recipient.pk, text)
    return True


def queue_notice_once(dedup_key: str, sender: VirtualNumber, recipient: RealNumber, text: str) -> bool:
    """Queue a notice unless one with this key exists. Return whether it was queued."""
    if _has_opted_out(recipient.pk):
        return False
    try:
        with transaction.atomic():
            _queue(MessageKind.NOTICE, sender.pk, recipient.pk, text, dedup_key=dedup_key)
    except IntegrityError:
        if OutboundMessage.objects.filter(dedup_key=dedup_key).exists():
            return False
        raise
    return True


def queue_keyword_answer(sender: VirtualNumber, recipient: RealNumber, text: str) -> None:
    """Queue the answer to STOP, START or HELP, even for a person who has opted out."""
    _queue(MessageKind.KEYWORD_ANSWER, sender.pk, recipient.pk, text)


def _has_opted_out(person_id: int) -> bool:
    return RealNumber.objects.opted_out().filter(pk=person_id).exists()


def _queue(
    kind: MessageKind,
    sender_id: int,
    recipient_id: int,
    text: str,
    *,
    participant: Participant | None = None,
    inbound: InboundMessage | None = None,
    dedup_key: str | None = None,
) -> OutboundMessage:
    at = inbound.received_at if inbound else database_now()
    message = OutboundMessage.objects.create(
        kind=kind,
        sender_id=sender_id,
        recipient_id=recipient_id,
        text=text,
        segments=segments(text).count,
        participant=participant,
        conversation_id=participant.conversation_id if participant else None,
        inbound=inbound,
        dedup_key=dedup_key,
        created_at=at,
        due_at=at,
    )
    message.record_event(message.state, reason=f"queued as {kind.label}")
    transaction.on_commit(wake_workers)
    return message

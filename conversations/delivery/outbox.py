"""Queue messages in the outbox, in the caller's transaction, and wake the workers after its commit."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils import timezone

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


def queue_relay(inbound: InboundMessage, to: Participant, text: str) -> OutboundMessage:
    """Queue a message that relays an inbound message, and is as old as that one."""
    return _queue(MessageKind.RELAY, to.proxy_number_id, to.real_number_id, text, participant=to, inbound=inbound)


def queue_notice(to: Participant, text: str) -> OutboundMessage:
    """Queue a notice to a participant."""
    return _queue(MessageKind.NOTICE, to.proxy_number_id, to.real_number_id, text, participant=to)


def queue_notices(notices: Iterable[tuple[Participant, str]]) -> None:
    """Queue several notices with as many queries as one takes."""
    messages = OutboundMessage.objects.bulk_create(
        OutboundMessage(
            kind=MessageKind.NOTICE,
            sender=to.proxy_number,
            recipient=to.real_number,
            text=text,
            segments=segments(text).count,
            participant=to,
            conversation=to.conversation,
        )
        for to, text in notices
    )
    MessageEvent.objects.bulk_create(
        MessageEvent(message=message, new_state=message.state, reason=f"queued as {MessageKind.NOTICE.label}")
        for message in messages
    )
    transaction.on_commit(wake_workers)


def queue_answer(sender: VirtualNumber, recipient: RealNumber, text: str) -> bool:
    """Queue an automatic answer to a person's own message, unless they have had enough of them. Return whether queued.

    Answers of all kinds share the limits, so a person who is a machine cannot draw one after another.
    """
    if not text:
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
    try:
        with transaction.atomic():
            _queue(MessageKind.NOTICE, sender.pk, recipient.pk, text, dedup_key=dedup_key)
    except IntegrityError:
        if OutboundMessage.objects.filter(dedup_key=dedup_key).exists():
            return False
        raise
    return True


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
        created_at=inbound.received_at if inbound else timezone.now(),
    )
    message.record_event(message.state, reason=f"queued as {kind.label}")
    transaction.on_commit(wake_workers)
    return message

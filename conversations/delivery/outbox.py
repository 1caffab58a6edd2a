"""Putting texts into the outbox, in the caller's transaction, and waking the workers once it commits."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils import timezone

from conversations.delivery.wakeup import wake_workers
from conversations.models import InboundMessage, Kind, MessageEvent, OutboundMessage, Participant
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.gsm7 import segments


def queue_relay(inbound: InboundMessage, to: Participant, text: str) -> OutboundMessage:
    """It is as old as what it passes on."""
    return _queue(Kind.RELAY, to.proxy_number_id, to.real_number_id, text, participant=to, inbound=inbound)


def queue_notice(to: Participant, text: str) -> OutboundMessage:
    return _queue(Kind.NOTICE, to.proxy_number_id, to.real_number_id, text, participant=to)


def queue_notices(notices: Iterable[tuple[Participant, str]]) -> None:
    """Several at once, in as many queries as one takes."""
    messages = OutboundMessage.objects.bulk_create(
        OutboundMessage(
            kind=Kind.NOTICE,
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
        MessageEvent(message=message, new_state=message.state, reason=f"queued as {Kind.NOTICE.label}")
        for message in messages
    )
    transaction.on_commit(wake_workers)


def queue_notice_once(once_key: str, sender: VirtualNumber, recipient: RealNumber, text: str) -> bool:
    """Queue a notice unless one with this key was queued before. Was it?"""
    try:
        with transaction.atomic():
            _queue(Kind.NOTICE, sender.pk, recipient.pk, text, once_key=once_key)
    except IntegrityError:
        if OutboundMessage.objects.filter(once_key=once_key).exists():
            return False
        raise
    return True


def _queue(
    kind: Kind,
    sender_id: int,
    recipient_id: int,
    text: str,
    *,
    participant: Participant | None = None,
    inbound: InboundMessage | None = None,
    once_key: str | None = None,
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
        once_key=once_key,
        created_at=inbound.received_at if inbound else timezone.now(),
    )
    message.record(message.state, reason=f"queued as {kind.label}")
    transaction.on_commit(wake_workers)
    return message

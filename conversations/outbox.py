"""Putting texts into the outbox, in the caller's transaction, and waking the worker once it commits."""

import threading

from django.db import IntegrityError, transaction

from conversations.models import InboundMessage, Kind, OutboundMessage, Participant
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.gsm7 import segments

# Set when something was queued. A worker in this process wakes at once; others poll.
wake = threading.Event()


def queue_relay(inbound: InboundMessage, to: Participant, text: str) -> OutboundMessage:
    return _queue(Kind.RELAY, to.proxy_number, to.real_number, text, participant=to, inbound=inbound)


def queue_notice(to: Participant, text: str) -> OutboundMessage:
    return _queue(Kind.NOTICE, to.proxy_number, to.real_number, text, participant=to)


def queue_notice_once(once_key: str, sender: VirtualNumber, recipient: RealNumber, text: str) -> bool:
    """Queue a notice unless one with this key was queued before. Was it?"""
    try:
        with transaction.atomic():
            _queue(Kind.NOTICE, sender, recipient, text, once_key=once_key)
    except IntegrityError:
        if OutboundMessage.objects.filter(once_key=once_key).exists():
            return False
        raise
    return True


def _queue(
    kind: Kind,
    sender: VirtualNumber,
    recipient: RealNumber,
    text: str,
    *,
    participant: Participant | None = None,
    inbound: InboundMessage | None = None,
    once_key: str | None = None,
) -> OutboundMessage:
    message = OutboundMessage.objects.create(
        kind=kind,
        sender=sender,
        recipient=recipient,
        text=text,
        segments=segments(text).count,
        participant=participant,
        conversation=participant.conversation if participant else None,
        inbound=inbound,
        once_key=once_key,
    )
    message.record(message.state, reason=f"queued as {kind.label}")
    transaction.on_commit(wake.set)
    return message

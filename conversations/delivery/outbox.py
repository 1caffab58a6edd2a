"""Queue messages in the outbox, in the caller's transaction, and wake the workers after its commit.

Nothing is queued for a person who has opted out, except the answer to a keyword of theirs. For relays this is checked
where their recipients are read: conversations/intake/read_arrival.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from conversations.delivery.wakeup import wake_workers
from conversations.models import (
    ApiMessage,
    InboundMessage,
    LimitScope,
    LimitUsage,
    MessageEvent,
    MessageKind,
    OutboundMessage,
    OutboundState,
    Participant,
)
from conversations.models.limit_usage import Charge, notices_subject
from conversations.models.message_feed import announce
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.gsm7 import segments
from smsproxy.database.clock import database_now
from smsproxy.english import in_english
from smsproxy.metrics.counting import count_on_commit
from smsproxy.metrics.families import RELAYED


def queue_relay(inbound: InboundMessage, to: Participant, text: str, *, at: datetime | None = None) -> OutboundMessage:
    """Queue a message that relays an inbound message, and is as old as that one.

    to: one of the recipients that `read_arrival` returned in this transaction, so not a person who has opted out.
    at: the time that it is as old as instead: staff pass on a text days later.
    """
    count_on_commit(RELAYED)
    return _queue(
        MessageKind.RELAY, to.proxy_number_id, to.real_number_id, text, participant=to, inbound=inbound, at=at
    )


def queue_staff_answer(sender: VirtualNumber, recipient: RealNumber, text: str, *, actor: str) -> OutboundMessage:
    """Queue a text of staff to a person, outside of conversations. The caller knows that they have not opted out."""
    return _queue(MessageKind.NOTICE, sender.pk, recipient.pk, text, actor=actor)


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
            reason=f"queued as {in_english(MessageKind.CONFIRMATION.label)}",
            created_at=at,
        )
        for message in messages
    )
    transaction.on_commit(wake_workers)


def queue_api_message(
    message: ApiMessage, text: str, recipients: Sequence[Participant], *, skipped: Mapping[Participant, str]
) -> list[OutboundMessage]:
    """Queue a message of the marketplace for these participants, with two queries, and return what is queued.

    The caller has locked the conversation, and none of the recipients has opted out. skipped: the participants who do
    not get it, each with the reason. Their rows are cancelled from the beginning, announced as such, and hold no text.
    """
    count = segments(text).count

    def leg(to: Participant, state: OutboundState, text: str) -> OutboundMessage:
        return OutboundMessage(
            kind=MessageKind.API,
            state=state,
            api_message=message,
            sender_id=to.proxy_number_id,
            recipient_id=to.real_number_id,
            text=text,
            segments=count,
            participant=to,
            conversation_id=to.conversation_id,
            created_at=message.created_at,
            due_at=message.created_at,
        )

    queued = [leg(to, OutboundState.QUEUED, text) for to in recipients]
    cancelled = [leg(to, OutboundState.CANCELLED, "") for to in skipped]
    legs = OutboundMessage.objects.bulk_create([*queued, *cancelled])
    reasons = [*(f"queued as {in_english(MessageKind.API.label)}" for _ in queued), *skipped.values()]
    MessageEvent.objects.bulk_create(
        MessageEvent(message=each, new_state=each.state, reason=reason)
        for each, reason in zip(legs, reasons, strict=True)
    )
    announce([each.pk for each in cancelled], OutboundState.CANCELLED)
    transaction.on_commit(wake_workers)
    return queued


def queue_answer(
    sender: VirtualNumber,
    recipient: RealNumber,
    text: str,
    *,
    participant: Participant | None = None,
    conversation_id: int | None = None,
) -> bool:
    """Queue an automatic answer to a person's own message, unless they have had enough of them. Return whether queued.

    Answers of all kinds share the limits, so a person who is a machine cannot draw one after another.
    participant: the person in the conversation of the message. conversation_id: that conversation, if the pair of
    numbers now stands for another one. The caller has locked the conversation.
    """
    if not text or _has_opted_out(recipient.pk):
        return False
    charges = [
        Charge(LimitScope.NOTICES, notices_subject(sender.pk, recipient.pk)),
        Charge(LimitScope.PERSON_NOTICES, recipient.pk),
    ]
    if LimitUsage.objects.consume(charges):
        return False
    _queue(MessageKind.NOTICE, sender.pk, recipient.pk, text, participant=participant, conversation_id=conversation_id)
    return True


def queue_notice_once(
    dedup_key: str, sender: VirtualNumber, recipient: RealNumber, text: str, *, participant: Participant
) -> bool:
    """Queue a notice to a participant unless one with this key exists. Return whether it was queued."""
    if _has_opted_out(recipient.pk):
        return False
    try:
        with transaction.atomic():
            _queue(MessageKind.NOTICE, sender.pk, recipient.pk, text, participant=participant, dedup_key=dedup_key)
    except IntegrityError:
        if OutboundMessage.objects.filter(dedup_key=dedup_key).exists():
            return False
        raise
    return True


def queue_keyword_answer(
    sender: VirtualNumber, recipient: RealNumber, text: str, *, participant: Participant | None = None
) -> None:
    """Queue the answer to STOP, START or HELP, even for a person who has opted out.

    participant: the person in the conversation of the keyword, or None.
    """
    _queue(MessageKind.KEYWORD_ANSWER, sender.pk, recipient.pk, text, participant=participant)


def _has_opted_out(person_id: int) -> bool:
    return RealNumber.objects.opted_out().filter(pk=person_id).exists()


def _queue(
    kind: MessageKind,
    sender_id: int,
    recipient_id: int,
    text: str,
    *,
    participant: Participant | None = None,
    conversation_id: int | None = None,
    inbound: InboundMessage | None = None,
    dedup_key: str | None = None,
    at: datetime | None = None,
    actor: str = "",
) -> OutboundMessage:
    at = at or (inbound.received_at if inbound else database_now())
    message = OutboundMessage.objects.create(
        kind=kind,
        sender_id=sender_id,
        recipient_id=recipient_id,
        text=text,
        segments=segments(text).count,
        participant=participant,
        conversation_id=participant.conversation_id if participant else conversation_id,
        inbound=inbound,
        dedup_key=dedup_key,
        created_at=at,
        due_at=at,
    )
    message.record_event(message.state, reason=f"queued as {in_english(kind.label)}", actor=actor)
    transaction.on_commit(wake_workers)
    return message

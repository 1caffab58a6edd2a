"""Change a participant: their label, whether they only receive, and their phone."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from conversations.lifecycle.confirmations import confirm
from conversations.lifecycle.newcomer import (
    Newcomer,
    charge_newcomer,
    check_newcomer,
    choose_number,
    count_pair,
    insert_participant,
    join,
    lock_newcomer,
    refuse_among,
)
from conversations.lifecycle.participants import (
    ConversationEnded,
    cancel_queued,
    member_at,
    members_of,
    queued_for,
    record_change,
    take_out,
)
from conversations.lifecycle.request import ParticipantSpec
from conversations.models import Conversation, MessageKind, OutboundMessage, Participant
from conversations.models.conversation_feed import announce_proxy_number
from numbers.models import RealNumber
from smsproxy.api.models import ApiKey
from smsproxy.database.clock import database_now
from smsproxy.events.types import EventType

# What is queued for the old phone and goes to the new one. Our own texts are about the old phone, and are cancelled.
_MOVED = (MessageKind.RELAY, MessageKind.API)


def change_participant(
    conversation: Conversation,
    position: int,
    *,
    label: str | None = None,
    one_way: bool | None = None,
    actor: str = "",
) -> Participant:
    """Change what is not None, from the next text on, and return the participant. Raises NoSuchParticipant."""
    with transaction.atomic():
        conversation.lock()
        member = member_at(position, members_of(conversation))
        wanted = {"label": label, "one_way": one_way}
        changes = {
            name: value for name, value in wanted.items() if value is not None and value != getattr(member, name)
        }
        if changes:
            Participant.objects.filter(conversation=conversation, position=position).update(**changes)
            record_change(
                conversation,
                position,
                EventType.PARTICIPANT_CHANGED,
                reason=f"participant {position} was changed: {', '.join(changes)}",
                actor=actor,
                changed=list(changes),
            )
        for name, value in changes.items():
            setattr(member, name, value)
    return member


def give_new_phone(
    conversation: Conversation,
    position: int,
    number: str,
    *,
    label: str | None = None,
    one_way: bool | None = None,
    notify: bool = True,
    created_by: ApiKey | None = None,
    actor: str = "",
) -> Participant:
    """Let another phone take the place of this participant's, and return the participant. The position stays.

    The new phone gets the same proxy number if that is free for it, and otherwise another one. The other participants
    keep theirs. The old phone is out at once. What is queued for it goes to the new one.
    number: E.164. If it is the participant's phone already, only the rest changes. label, one_way: None to keep them.
    Raises ConversationEnded, NoSuchParticipant, AlreadyParticipant, SideNumberTaken, CannotCreate, OverLimit or
    ContentionError, with nothing changed or sent.
    """
    member = member_at(position, members_of(conversation))
    if RealNumber.objects.with_number(number).filter(pk=member.real_number_id).exists():
        return change_participant(conversation, position, label=label, one_way=one_way, actor=actor)
    spec = ParticipantSpec(
        number=number,
        label=member.label if label is None else label,
        side=member.side,
        one_way=member.one_way if one_way is None else one_way,
    )
    newcomer = check_newcomer(spec, conversation, created_by=created_by)
    wanted = {"label": label, "one_way": one_way}
    return join(
        newcomer,
        conversation,
        lambda: _exchange(member, newcomer, wanted, notify=notify, created_by=created_by, actor=actor),
    )


def _exchange(
    member: Participant,
    newcomer: Newcomer,
    wanted: Mapping[str, Any],
    *,
    notify: bool,
    created_by: ApiKey | None,
    actor: str,
) -> Participant:
    """Put the new phone in the place of the participant's. wanted: further values by column; None to keep them."""
    spec = newcomer.spec
    person, is_new = lock_newcomer(newcomer, member.real_number)
    conversation = member.conversation
    conversation.lock()
    now = database_now()
    if not conversation.is_live(now):
        raise ConversationEnded
    members = members_of(conversation)
    old = member_at(member.position, members)
    others = [each for each in members if each is not old]
    if old.real_number_id == person.pk:  # A concurrent request has given them this phone.
        return change_participant(conversation, old.position, **wanted, actor=actor)
    refuse_among(person, others, conversation)
    chosen = choose_number(spec, person, others, conversation, is_new=is_new, keep=old.proxy_number)
    # A concurrent request may have changed them since the first look, so the locked values count.
    kept = {name: getattr(old, name) if value is None else value for name, value in wanted.items()}
    rows = take_out(old, now)
    new = Participant(
        conversation=conversation,
        position=old.position,
        side=spec.side,
        **kept,
        real_number=person,
        proxy_number=chosen.number,
        chosen_by=old.chosen_by if chosen.number == old.proxy_number else chosen.preference,
        created_at=now,
    )
    insert_participant(new, chosen)
    record_change(
        conversation,
        new.position,
        EventType.PARTICIPANT_CHANGED,
        reason=f"participant {new.position} has another phone",
        actor=actor,
        changed=["number", *(name for name, value in kept.items() if value != getattr(old, name))],
    )
    if new.proxy_number != old.proxy_number:
        number = new.proxy_number.number
        announce_proxy_number(conversation.pk, conversation.service_id, position=new.position, number=number)
    _move_queued(rows, new, actor=actor)
    if notify:
        confirm([new], among=[*others, new])
    charge_newcomer(created_by, is_new=is_new)
    count_pair(chosen, conversation)
    return new


def _move_queued(rows: list[int], new: Participant, *, actor: str) -> None:
    """Send to the new phone what is queued for the old one. A message that is being sent is left alone."""
    queued = queued_for(rows).filter(kind__in=_MOVED).only("state")
    messages = list(queued.select_for_update(no_key=True).order_by("pk"))
    OutboundMessage.objects.filter(pk__in=[message.pk for message in messages]).update(
        participant=new, sender=new.proxy_number, recipient=new.real_number
    )
    for message in messages:
        message.record_event(
            message.state, reason="moved to its recipient's new phone", actor=actor, old_state=message.state
        )
    cancel_queued(rows, reason="its recipient has another phone", actor=actor)

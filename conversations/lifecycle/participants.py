"""What changes of participants share: the errors, the people of a conversation, and the record of a change.

Every change locks the conversation. So does an inbound message: what it has read before is read again then, because
`route_version` has changed.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import F, Max, QuerySet

from conversations.models import Conversation, MessageKind, OutboundMessage, OutboundState, Participant
from numbers.models.pool import cool_down_of
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.states import StaleState


class ConversationEnded(Exception):
    """The conversation has ended, so nobody can join it."""


class NoSuchParticipant(Exception):
    """Nobody in the conversation has this position now."""


class AlreadyParticipant(Exception):
    """This person is in the conversation already. position: theirs."""

    def __init__(self, position: int) -> None:
        super().__init__(f"participant {position} has this number")
        self.position = position


class TooManyParticipants(Exception):
    """The conversation has as many participants as it may have."""


class TooFewParticipants(Exception):
    """Without this participant, fewer than two would be left."""


class SideNumberTaken(Exception):
    """The number of the side cannot be given to this person."""


def members_of(conversation: Conversation) -> list[Participant]:
    """Return the participants with their present numbers, in order."""
    current = conversation.participants.current().select_related("real_number", "proxy_number")
    members = list(current.order_by("position"))
    for member in members:
        member.conversation = conversation
    return members


def member_at(position: int, members: Collection[Participant]) -> Participant:
    """Return the participant at this position. Raises NoSuchParticipant."""
    for member in members:
        if member.position == position:
            return member
    raise NoSuchParticipant


def next_position(conversation: Conversation) -> int:
    """Return the position after the highest that anybody in the conversation has ever had."""
    highest = conversation.participants.aggregate(highest=Max("position"))["highest"]
    return 0 if highest is None else int(highest) + 1


def take_out(member: Participant, at: datetime) -> list[int]:
    """Take this phone out of the locked conversation, and let its pairs cool down. Return the ids of its rows.

    Numbers of this participant that were replaced before reach nobody any more, either.
    """
    rows = Participant.objects.filter(
        conversation=member.conversation_id, position=member.position, removed_at__isnull=True
    )
    pks = list(rows.values_list("pk", flat=True))
    cool_down = cool_down_of(member.conversation.pool)
    rows.unreleased().filter(release_at__isnull=True).update(release_at=at + cool_down)
    if member.pk not in pks or rows.update(removed_at=at) != len(pks):
        raise StaleState(f"participant {member.pk} has just been removed")
    member.removed_at = at
    return pks


def cancel_queued(participants: Collection[int], *, reason: str, actor: str) -> None:
    """Cancel what is queued for these rows. A message that is being sent is left alone.

    If that one must be sent again, it is not: relay.py asks once more whether its recipient is there.
    """
    queued = queued_for(participants).defer("text")
    for message in queued.select_for_update(no_key=True).order_by("pk"):
        message.cancel(reason=reason, actor=actor)


def queued_for(participants: Collection[int]) -> "QuerySet[OutboundMessage]":
    """Return what is queued for these rows, except answers to keywords."""
    queued = OutboundMessage.objects.filter(participant__in=participants, state=OutboundState.QUEUED)
    return queued.exclude(kind=MessageKind.KEYWORD_ANSWER)


def record_change(
    conversation: Conversation, position: int, type_: EventType, *, reason: str, actor: str, **data: Any
) -> None:
    """Record a change of the participant at this position, and make the route of the conversation be read again.

    The conversation is locked. type_, data: the event of the feed. reason: the one of the conversation's own event.
    """
    Conversation.objects.filter(pk=conversation.pk).update(route_version=F("route_version") + 1)
    conversation.record_event(conversation.state, old_state=conversation.state, reason=reason, actor=actor)
    record(
        NewEvent(
            type=type_,
            service_id=conversation.service_id,
            conversation_id=conversation.pk,
            participant=position,
            data=data,
        )
    )

"""Remove a participant from a conversation. Their pair of numbers cools down."""

from django.db import transaction

from conversations.lifecycle.participants import (
    TooFewParticipants,
    cancel_queued,
    member_at,
    members_of,
    record_change,
    take_out,
)
from conversations.models import Conversation
from smsproxy.database.clock import database_now
from smsproxy.events.types import EventType


def remove_participant(conversation: Conversation, position: int, *, actor: str = "") -> None:
    """Remove the participant at this position: nobody in the conversation reaches them, and they reach nobody.

    What is queued for them is cancelled. What they wrote before still goes to the others. Their texts of the cool-down
    get the notice that the conversation has ended. A reopening does not bring them back.
    Raises NoSuchParticipant or TooFewParticipants, with nothing changed.
    """
    with transaction.atomic():
        conversation.lock()
        members = members_of(conversation)
        leaving = member_at(position, members)
        if len(members) <= 2:
            raise TooFewParticipants
        rows = take_out(leaving, database_now())
        record_change(
            conversation,
            position,
            EventType.PARTICIPANT_REMOVED,
            reason=f"participant {position} was removed",
            actor=actor,
        )
        cancel_queued(rows, reason="its recipient was removed from the conversation", actor=actor)

"""Reopen a conversation with the numbers that its participants had."""

from django.db import transaction

from conversations.lifecycle.request import OptedOut, ParticipantBlocked
from conversations.models import Conversation
from conversations.trust.blocks import find_blocked
from numbers.models import RealNumber
from smsproxy.crypto import Unreadable


def reopen_conversation(conversation: Conversation, *, actor: str) -> Conversation:
    """Reopen a closed conversation, unless a creation with its participants would be refused, too.

    Raises OptedOut or ParticipantBlocked, and StaleState if it is open or has lost a number. Nothing has changed then.
    """
    with transaction.atomic():
        conversation.reopen(actor=actor)
        _refuse_participants(conversation)
    return conversation


def _refuse_participants(conversation: Conversation) -> None:
    """Raise OptedOut or ParticipantBlocked for the first participant who cannot be in an open conversation."""
    people = [participant.real_number for participant in conversation.current_participants]
    # An unreadable number begins with no prefix. Its owner gets no messages anyway.
    numbers = ["" if isinstance(person.number, Unreadable) else person.number for person in people]
    if found := find_blocked(numbers, service_id=conversation.service_id):
        raise ParticipantBlocked(*found)
    opted_out = RealNumber.objects.opted_out().in_bulk([person.pk for person in people])
    for position, person in enumerate(people):
        if person.pk in opted_out:
            raise OptedOut(position)

"""Reopen a conversation with the numbers that its participants had."""

from contextlib import suppress

from django.db import transaction

from conversations.lifecycle.change import ATTEMPTS, check_reference
from conversations.lifecycle.request import ContentionError, OptedOut, ParticipantBlocked
from conversations.models import Conversation
from conversations.models.conversation import DuplicateReference
from conversations.models.conversation_terms import End
from conversations.trust.blocks import find_blocked
from numbers.models import RealNumber
from smsproxy.crypto import Unreadable


def reopen_conversation(
    conversation: Conversation, *, actor: str, end: End | None = None, why: str = ""
) -> Conversation:
    """Reopen a closed conversation, unless a creation with its participants would be refused, too.

    end: a new one. None: its ttl starts again, or its fixed end stays. why: for staff, in words.
    Raises OptedOut, ParticipantBlocked, ReferenceTaken, ContentionError, EndHasPassed (a StaleState), and StaleState if
    it is open or has lost a number. Nothing has changed then.
    """
    for _ in range(ATTEMPTS):
        if conversation.is_reference_unique and not conversation.is_live():
            check_reference(conversation, conversation.reference)
        with suppress(DuplicateReference), transaction.atomic():
            conversation.reopen(actor=actor, end=end, why=why)
            refuse_participants(conversation)
            return conversation
    raise ContentionError


def refuse_participants(conversation: Conversation) -> None:
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

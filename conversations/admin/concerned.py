"""The people whom the rows of conversations concern, for the audit, and who may see texts."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from conversations.models import (
    ApiMessage,
    Block,
    Conversation,
    ConversationEvent,
    ConversationNote,
    InboundMessage,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    Participant,
)
from smsproxy.staff.concerned import concerns
from smsproxy.staff.history import has_parts
from smsproxy.staff.models import RevealKind
from smsproxy.staff.reveal_pages import register


def people_of_conversation(conversation_id: int) -> list[int]:
    """Return the ids of everybody who is or was in it."""
    people = Participant.objects.filter(conversation_id=conversation_id)
    return list(people.values_list("real_number_id", flat=True).order_by())


def parts_of_conversation(conversation: Conversation) -> "Sequence[QuerySet[Any]]":
    """Return what staff act on in the thread: its people, who are blocked, and the messages, which are sent again."""
    return [model.objects.filter(conversation=conversation) for model in (Participant, OutboundMessage)]


concerns(Conversation, lambda conversation: people_of_conversation(conversation.pk))
concerns(ConversationEvent, lambda event: people_of_conversation(event.conversation_id))
concerns(ConversationNote, lambda note: people_of_conversation(note.conversation_id))
concerns(Participant, lambda participant: [participant.real_number_id])
concerns(ApiMessage, lambda message: people_of_conversation(message.conversation_id))
concerns(InboundMessage, lambda message: [message.sender_id])
concerns(LongMessage, lambda message: [message.sender_id])
concerns(OutboundMessage, lambda message: [message.recipient_id])
concerns(MessageEvent, lambda event: [event.message.recipient_id])
concerns(Block, lambda block: [block.person_id, block.other_id])

register(RevealKind.TEXTS, Conversation, "conversations.read_message_text")
register(RevealKind.STRANGER_TEXT, InboundMessage, "conversations.read_message_text")
has_parts(Conversation, parts_of_conversation)

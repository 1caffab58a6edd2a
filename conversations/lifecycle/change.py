"""Change an existing conversation: its times, reference and other terms, and its end."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from conversations.lifecycle.unique_reference import check_reference, taken_by_another
from conversations.models import Conversation, ConversationState
from conversations.models.conversation import DuplicateReference
from conversations.models.conversation_terms import End


def change_conversation(
    conversation: Conversation, values: Mapping[str, Any], *, end: End | None = None, actor: str
) -> Conversation:
    """Change these columns of a conversation, its idle_ttl among them, and its end.

    Raises unique_reference.ReferenceTaken, and StaleState if it has ended and the change is of its times.
    """
    reference = values.get("reference", conversation.reference)
    is_unique = values.get("is_reference_unique", conversation.is_reference_unique)
    is_asked = "reference" in values or "is_reference_unique" in values
    if is_asked and is_unique and conversation.is_live():
        check_reference(conversation, reference)
    try:
        return conversation.change(actor=actor, end=end, **values)
    except DuplicateReference:
        raise taken_by_another(conversation, reference) from None


def close_conversation(conversation: Conversation, *, reason: str, permanent: bool, actor: str) -> Conversation:
    """Close a conversation. One that is closed stays as it is. permanent: no late text reopens it."""
    with transaction.atomic():
        conversation.lock()
        conversation.close_if_over()
        if conversation.state == ConversationState.OPEN:
            conversation.close(reason=reason, actor=actor, permanent=permanent)
        elif permanent:
            conversation.keep_closed(actor=actor)
    return conversation

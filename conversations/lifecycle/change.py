"""Change an existing conversation: its times, reference and other terms, and its end."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.db import transaction

from conversations.lifecycle.existing import find_conversation_named
from conversations.lifecycle.request import ContentionError, ReferenceTaken
from conversations.models import Conversation, ConversationState
from conversations.models.conversation import DuplicateReference
from conversations.models.conversation_terms import End
from smsproxy.states import StaleState

# Another conversation may take the reference between our look and our write. After these attempts we give up.
ATTEMPTS = 5


def change_conversation(
    conversation: Conversation, values: Mapping[str, Any], *, end: End | None = None, actor: str
) -> Conversation:
    """Change these columns of a conversation, its idle_ttl among them, and its end.

    Raises ReferenceTaken, ContentionError, BlankReference if its reference is to be unique and empty, and StaleState if
    it has ended and the change is of its times.
    """
    reference = values.get("reference", conversation.reference)
    is_unique = values.get("is_reference_unique", conversation.is_reference_unique)
    is_about_reference = "reference" in values or "is_reference_unique" in values
    for _ in range(ATTEMPTS):
        if is_about_reference and is_unique and reference and conversation.is_live():
            check_reference(conversation, reference)
        with suppress(DuplicateReference):
            return conversation.change(actor=actor, end=end, **values)
    raise ContentionError


def check_reference(conversation: Conversation, reference: str) -> None:
    """Raise ReferenceTaken if another open conversation of its service has this reference.

    Call it outside of any transaction: it may close another conversation, and no two are locked at once. The constraint
    `one_open_conversation_of_a_reference` decides between concurrent changes.
    """
    with suppress(StaleState):  # The other one was changed concurrently. The constraint decides.
        service_id: Any = conversation.service_id  # Type checkers take a foreign key with a default for a nullable one.
        found = find_conversation_named(reference, service_id=service_id, other_than=conversation)
        if found is not None:
            raise ReferenceTaken(found)


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

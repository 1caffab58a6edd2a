"""Unique references: an open conversation that has its reference alone in its service."""

from contextlib import suppress
from uuid import UUID

from conversations.models import Conversation, ConversationState
from smsproxy.states import StaleState


class ReferenceTaken(StaleState):
    """Another open conversation of the service has this reference. holder_id: its public id, if it is known."""

    def __init__(self, holder_id: UUID | None) -> None:
        super().__init__(f"conversation {holder_id} has this reference")
        self.holder_id = holder_id


def check_reference(conversation: Conversation, reference: str) -> None:
    """Raise ReferenceTaken if another open conversation of its service has this reference.

    A conversation that holds the reference although its time is up is closed. Call it outside of any transaction, so
    that no two conversations are locked at once. The constraint `one_open_conversation_of_a_reference` is exact.
    """
    others = Conversation.objects.filter(service=conversation.service_id, reference=reference).exclude(
        pk=conversation.pk
    )
    for holder in others.filter(is_reference_unique=True, state=ConversationState.OPEN):
        if not holder.is_live():
            with suppress(StaleState):  # A concurrent change of it comes first.
                holder.close_over()
    holder_id = others.open_now().order_by("-pk").values_list("public_id", flat=True).first()
    if holder_id is not None:
        raise ReferenceTaken(holder_id)


def taken_by_another(conversation: Conversation, reference: str) -> ReferenceTaken:
    """Return the error for a reference that a concurrent change took first."""
    others = Conversation.objects.filter(service=conversation.service_id, reference=reference).exclude(
        pk=conversation.pk
    )
    found = others.filter(is_reference_unique=True, state=ConversationState.OPEN)
    return ReferenceTaken(found.values_list("public_id", flat=True).first())

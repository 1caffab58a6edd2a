"""Open conversations that bear on a new one: of exactly the same people, or with the same reference.

Call these functions in the transaction of the creation, with the rows of its people locked.
"""

from collections.abc import Sequence

from django.db.models import Count, Exists, OuterRef, Q

from conversations.models import Conversation, ConversationState, Participant
from numbers.models import RealNumber


def find_conversation_of(people: Sequence[RealNumber], *, service_id: int) -> Conversation | None:
    """Return the newest open conversation of exactly these people in this service, with its participants, or None."""
    first, *others = people
    theirs = Participant.objects.current().unreleased().filter(real_number=first).values("conversation")
    found = Conversation.objects.open_now().filter(pk__in=theirs, service_id=service_id)
    for person in others:
        also = Participant.objects.current().filter(conversation=OuterRef("pk"), real_number=person)
        found = found.filter(Exists(also))
    is_current = Q(participants__replaced_by__isnull=True, participants__removed_at__isnull=True)
    of_their_number = found.annotate(people=Count("participants", filter=is_current)).filter(people=len(people))
    newest = of_their_number.order_by("-pk").values_list("pk", flat=True).first()
    return None if newest is None else Conversation.objects.with_participants().filter(pk=newest).first()


def find_conversation_named(
    reference: str, *, service_id: int, other_than: Conversation | None = None
) -> Conversation | None:
    """Return the newest open conversation of this service with this reference, or None.

    Close the one that holds the reference although its time is up. Raises StaleState if it was changed concurrently.
    """
    stored = Conversation.objects.filter(service_id=service_id, reference=reference)
    if other_than is not None:
        stored = stored.exclude(pk=other_than.pk)
    holder = stored.filter(is_reference_unique=True, state=ConversationState.OPEN).first()
    if holder is not None and not holder.is_live():
        holder.close_over()
    return stored.open_now().order_by("-pk").first()

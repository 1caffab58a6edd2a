"""Builders of past conversations and messages, with the times that a test chooses."""

from datetime import UTC, datetime, timedelta
from itertools import count

from conversations.models import Conversation, ConversationState, MessageKind, OutboundMessage, Participant
from numbers.models import RealNumber, VirtualNumber

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""A Sunday at noon."""
WEEK = timedelta(days=7)
_places = count()


def ago(days: float) -> datetime:
    """Return the time so long before NOW."""
    return NOW - timedelta(days=days)


def remember(number: str) -> RealNumber:
    return RealNumber.objects.get_or_create_many([number])[number]


def talked(number, begun, closed=None, *, number_of_ours=None, cool_down=WEEK, pool=None, **fields):
    """Create this person's past conversation, on a new virtual number unless one is given; return the participant."""
    conversation = Conversation.objects.create(
        pool=pool,
        created_at=begun,
        closed_at=closed,
        state=ConversationState.CLOSED if closed else ConversationState.OPEN,
    )
    release_at = closed + cool_down if closed else None
    return Participant.objects.create(
        conversation=conversation,
        position=0,
        real_number=remember(number),
        proxy_number=number_of_ours or spare_number(),
        created_at=begun,
        **{"release_at": release_at, "released_at": release_at if release_at and release_at <= NOW else None, **fields},
    )


def spare_number() -> VirtualNumber:
    """Create a retired virtual number that nobody uses, and return it."""
    return VirtualNumber.objects.create(number=f"+3197010{next(_places):06}", country="NL", state="retired")


def sent(participant, at, segments=1):
    return OutboundMessage.objects.create(
        kind=MessageKind.NOTICE,
        participant=participant,
        sender=participant.proxy_number,
        recipient=participant.real_number,
        text="Hello",
        segments=segments,
        created_at=at,
    )

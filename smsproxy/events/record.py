"""Write events in the caller's transaction, so that a change and its event are stored together or not at all."""

from dataclasses import dataclass, field
from typing import Any

from smsproxy.events.models import FeedEvent
from smsproxy.events.types import EventType


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event to write.

    service_id: the service that reads it; None: the keys of every service that have the scope `numbers`.
    participant: a position in the conversation. data: further values, without real numbers or texts.
    """

    type: EventType
    service_id: int | None
    conversation_id: int | None = None
    inbound_id: int | None = None
    outbound_id: int | None = None
    participant: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


def record(*events: NewEvent) -> None:
    """Write these events in this order. Call it in the transaction of the change that they are about.

    Events of a conversation are written while its row is locked: so their order is the order of the changes.
    """
    FeedEvent.objects.bulk_create(
        FeedEvent(
            type=event.type,
            service_id=event.service_id,
            conversation_id=event.conversation_id,
            inbound_id=event.inbound_id,
            outbound_id=event.outbound_id,
            participant=event.participant,
            data=event.data,
        )
        for event in events
    )

"""Events of the feed about inbound messages. The fast path writes the same ones in its own statement."""

from typing import Any

from conversations.intake.read_arrival import InboundContext
from conversations.models import InboundMessage, InboundOutcome, Participant
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType

# The data of a text that is relayed.
RECEIVED = {"outcome": InboundOutcome.RELAYED.value}
# Texts that need no conversation: they are no mistake of anybody.
_EXPLAINED = (InboundOutcome.KEYWORD, InboundOutcome.LOOP, InboundOutcome.UNDECODABLE)


def recipients_of(context: InboundContext) -> dict[str, Any]:
    """Return the data of a text that is relayed to these recipients."""
    return {"recipients": [other.position for other in context.recipients]}


def announce_received(message: InboundMessage, context: InboundContext) -> None:
    """Write the events of a message that was stored with this outcome, in the caller's transaction."""
    author = message.participant
    if author is None:
        if message.outcome not in _EXPLAINED:
            record(_unmatched(message, context))
        return

    def event(type_: EventType, data: dict[str, Any]) -> NewEvent:
        return NewEvent(
            type=type_,
            service_id=author.conversation.service_id,
            conversation_id=author.conversation_id,
            inbound_id=message.pk,
            participant=author.position,
            data=data,
        )

    events = [event(EventType.MESSAGE_RECEIVED, {"outcome": str(message.outcome)})]
    if message.outcome == InboundOutcome.RELAYED:
        events.append(event(EventType.MESSAGE_RELAYED, recipients_of(context)))
    if message.outcome == InboundOutcome.HELD:
        events.append(event(EventType.MESSAGE_HELD, {}))
    record(*events)


def _unmatched(message: InboundMessage, context: InboundContext) -> NewEvent:
    """Return the event for the service of the last conversation that had this pair of numbers, or for none."""
    number = message.virtual_number
    service_id = None
    if message.sender and number:
        pairs = Participant.objects.filter(real_number=message.sender, proxy_number=number)
        service_id = pairs.order_by("-pk").values_list("conversation__service_id", flat=True).first()
    return NewEvent(
        type=EventType.INBOUND_UNMATCHED,
        service_id=service_id,
        inbound_id=message.pk,
        data={"outcome": str(message.outcome), "virtual_number": number.number if number else None},
    )

"""Events of the feed about opt-outs: one for each open conversation of the person. So each service sees its own."""

from typing import Any

from django.dispatch import receiver

from numbers.models import PersonState, RealNumber
from numbers.models.real_number import opt_out_changed
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType

from .conversation import Conversation
from .participant import Participant


@receiver(opt_out_changed)
def _announce(person: RealNumber, to: PersonState, **kwargs: Any) -> None:
    type_ = EventType.PARTICIPANT_OPTED_OUT if to == PersonState.OPTED_OUT else EventType.PARTICIPANT_OPTED_IN
    live = Conversation.objects.open_now()
    places = Participant.objects.current().filter(real_number=person.pk, conversation__in=live)
    rows = places.order_by("conversation_id").values_list("conversation__service_id", "conversation_id", "position")
    record(
        *(
            NewEvent(type=type_, service_id=service_id, conversation_id=conversation_id, participant=position)
            for service_id, conversation_id, position in rows
        )
    )

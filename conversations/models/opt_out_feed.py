"""Events of the feed about opt-outs: one for each open conversation of the person, for its service to see."""

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
    places = Participant.objects.current().filter(
        real_number=person.pk, conversation__in=Conversation.objects.open_now()
    )
    rows = places.order_by("conversation_id").values_list("conversation__service_id", "conversation_id", "position")
    record(
        *(
            NewEvent(type=type_, service_id=service_id, conversation_id=conversation_id, participant=position)
            for service_id, conversation_id, position in rows
        )
    )

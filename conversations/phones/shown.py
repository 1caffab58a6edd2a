"""What the address of the phones page chooses: which phones, and which conversation."""

import uuid
from dataclasses import dataclass

from django.db.models import Q
from django.http import QueryDict

from conversations.models import Conversation, Participant
from conversations.phones.requests import MAX_PEOPLE
from smsproxy.simulator.models import SimulatedHandset

SHOWN = 2  # phones, if the address names none
MAX_PHONES = 100  # that can be chosen
MAX_CONVERSATIONS = 20  # that can be chosen, the newest
_ROWS = MAX_CONVERSATIONS * MAX_PEOPLE


@dataclass(frozen=True)
class Shown:
    """known: the phones that can be chosen. handsets: the phones that are shown. conversations: those that can be
    chosen, newest first. conversation: the one that is shown. places: the participants of the people of these phones,
    newest first, with their proxy numbers.
    """

    known: list[SimulatedHandset]
    handsets: list[SimulatedHandset]
    conversations: list[Conversation]
    conversation: Conversation | None
    places: list[Participant]


def choose(query: QueryDict) -> Shown:
    """Return what `?phones=ID,ID&conversation=UUID` chooses. Ignore what does not exist.

    Without phones: those of the conversation. Without a conversation: the newest open one between most of the people of
    these phones, or the newest one. Without both: that of the first two phones.
    """
    known = list(SimulatedHandset.objects.all()[:MAX_PHONES])
    asked = _asked_conversation(query.get("conversation", ""))
    if not asked and not query.get("phones"):
        first = _places(known[:SHOWN])
        asked = _best(list({place.conversation for place in first}), first)
    handsets = _handsets(query.get("phones", ""), known, asked)
    places = _places(handsets)
    conversations = list({place.conversation_id: place.conversation for place in places}.values())[:MAX_CONVERSATIONS]
    if asked and asked not in conversations:
        conversations.append(asked)
    return Shown(known, handsets, conversations, asked or _best(conversations, places), places)


def _asked_conversation(value: str) -> Conversation | None:
    try:
        return Conversation.objects.filter(public_id=uuid.UUID(value)).first()
    except ValueError:
        return None


def _handsets(value: str, known: list[SimulatedHandset], conversation: Conversation | None) -> list[SimulatedHandset]:
    by_key = {str(handset.pk): handset for handset in known}
    asked = [by_key[key] for key in dict.fromkeys(value.split(",")) if key in by_key]
    if not asked and conversation:
        people = conversation.participants.current().values_list("real_number__number_hash", flat=True)
        by_hash = {handset.number_hash: handset for handset in known}
        asked = [by_hash[each] for each in people.order_by("position") if each in by_hash]
    return asked[:MAX_PEOPLE] or known[:SHOWN]


def _places(handsets: list[SimulatedHandset]) -> list[Participant]:
    hashes = [handset.number_hash for handset in handsets]
    places = Participant.objects.current().filter(Q(real_number__number_hash__in=hashes))
    return list(places.select_related("conversation", "real_number", "proxy_number").order_by("-pk")[:_ROWS])


def _best(conversations: list[Conversation], places: list[Participant]) -> Conversation | None:
    def rank(conversation: Conversation) -> tuple[bool, int, int]:
        people = sum(place.conversation_id == conversation.pk for place in places)
        return conversation.is_live(), people, conversation.pk

    return max(conversations, key=rank, default=None)

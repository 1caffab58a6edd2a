"""The state of the phones page: what each phone shows, and what the network and the proxy did."""

from typing import Any

from django.db.models import Max, QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from conversations.models import Conversation, InboundMessage, MessageEvent, OutboundMessage, Participant
from conversations.models.conversation import ConversationEvent
from conversations.phones.shown import Shown, choose
from conversations.phones.spelling import spaced
from conversations.phones.switches import other_faults, uses_left
from conversations.phones.ticks import Tick, ticks_of
from conversations.phones.trips import trips_of
from smsproxy.simulator.models import Direction, SimulatedFault, SimulatedHandset, SimulatedText

MAX_TEXTS = 100  # on one phone, the newest
# Each row of these is new when something has happened, or goes with one that is.
_GROWING = (
    SimulatedHandset,
    SimulatedText,
    InboundMessage,
    OutboundMessage,
    MessageEvent,
    Participant,
    ConversationEvent,
)


def version_of(query: QueryDict) -> str:
    """Return a text that changes when the state may have changed. It costs a look into an index for each table."""
    newest = [model._default_manager.aggregate(newest=Max("pk"))["newest"] or 0 for model in _GROWING]
    faults = SimulatedFault.objects.filter(remaining__gt=0).order_by("pk").values_list("pk", "remaining")
    seen = [*newest, *(f"{pk}x{left}" for pk, left in faults)]
    return f"{query.get('phones', '')}/{query.get('conversation', '')}/{'.'.join(map(str, seen))}"


def state_of(query: QueryDict) -> dict[str, Any]:
    """Return what the page draws for this address."""
    shown = choose(query)
    texts = {handset.pk: _texts(handset) for handset in shown.handsets}
    typed = [text for on_it in texts.values() for text in on_it if text.direction == Direction.FROM_HANDSET]
    ticks = ticks_of([text.carrier_message_id for text in typed])
    return {
        "people": [{"id": handset.pk, "name": str(handset)} for handset in shown.known],
        "phones": [_phone(handset, texts[handset.pk], ticks, shown) for handset in shown.handsets],
        "conversation": _conversation(shown.conversation) if shown.conversation else None,
        "conversations": [_choice(each) for each in shown.conversations],
        "trips": trips_of(shown, typed),
        "faults": uses_left(),
        "other_faults": other_faults(),
    }


def _texts(handset: SimulatedHandset) -> list[SimulatedText]:
    """Return what is on the phone now, oldest first. A delayed text is in its place by its arrival."""
    newest: QuerySet[SimulatedText] = handset.texts.order_by("-pk")[:MAX_TEXTS]
    now = timezone.now()
    return sorted((text for text in newest if text.created_at <= now), key=lambda text: (text.created_at, text.pk))


def _phone(
    handset: SimulatedHandset, texts: list[SimulatedText], ticks: dict[str, Tick], shown: Shown
) -> dict[str, Any]:
    """Return a phone as the page draws it, with nothing that its owner cannot see but the ticks."""
    threads: dict[str, list[dict[str, Any]]] = {}
    for text in texts:
        threads.setdefault(text.virtual_number, []).append(_text(text, ticks))
    own = [place for place in shown.places if place.real_number.number_hash == handset.number_hash]
    current = next((place for place in own if place.conversation == shown.conversation), None)
    if current:
        threads.setdefault(current.proxy_number.number, [])
    # The newest place first: the thread belongs to the conversation that uses the number now.
    conversations = {place.proxy_number.number: place.conversation for place in reversed(own)}
    return {
        "id": handset.pk,
        "name": handset.name or _("A phone"),
        "number": spaced(handset.number),
        "current": current.proxy_number.number if current else None,
        "threads": [
            {
                "number": number,
                "shown": spaced(number),
                "conversation": str(conversations[number].public_id) if number in conversations else None,
                "texts": on_it,
            }
            for number, on_it in sorted(threads.items())
        ],
    }


def _text(text: SimulatedText, ticks: dict[str, Tick]) -> dict[str, Any]:
    shown = {
        "id": text.pk,
        "typed": text.direction == Direction.FROM_HANDSET,
        "text": text.text,
        "at": text.created_at.isoformat(),
    }
    return shown | ({"tick": ticks[text.carrier_message_id]._asdict()} if shown["typed"] else {})


def _conversation(conversation: Conversation) -> dict[str, Any]:
    return {
        **_choice(conversation),
        "staff_url": reverse("admin:conversations_conversation_change", args=[conversation.pk]),
        "end_url": reverse("simulator-end", args=[conversation.public_id]),
        "reopen_url": reverse("simulator-reopen", args=[conversation.public_id]),
    }


def _choice(conversation: Conversation) -> dict[str, Any]:
    is_open = conversation.is_live()
    words = _("open") if is_open else _("ended")
    if is_open and conversation.held_at is not None:
        words = _("on hold")
    return {
        "id": str(conversation.public_id),
        "name": conversation.reference or str(conversation.public_id)[:8],
        "is_open": is_open,
        "words": words,
    }

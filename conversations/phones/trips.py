"""The trips of the newest texts: from a phone to a virtual number, through the proxy, to the other phones."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from conversations.models import (
    InboundMessage,
    InboundOutcome,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundState,
)
from conversations.models.outbound_state import MessageKind
from conversations.phones.shown import Shown
from conversations.phones.spelling import spaced
from conversations.phones.switches import MET
from conversations.phones.ticks import outcome_words, tick_of_states
from numbers.models import RealNumber
from smsproxy.simulator.models import FaultKind, SimulatedText

KEPT = 8  # trips, the newest
_S = OutboundState
# How far along its way a text is. The page has five stations: phone, number, proxy, number, phone.
AT_NUMBER, AT_PROXY, AT_SECOND_NUMBER, ARRIVED = 1, 2, 3, 4
_BAD = (_S.FAILED, _S.UNDELIVERED, _S.CANCELLED)


def trips_of(shown: Shown, typed: Iterable[SimulatedText]) -> list[dict[str, Any]]:
    """Return the newest trips, newest first: from and to these phones, or of the conversation, and the lost ones."""
    people = _People(shown)
    hashes = list(people.names)
    from_here = Q(sender__number_hash__in=hashes)
    to_here = Q(recipient__number_hash__in=hashes)
    if shown.conversation:
        from_here = Q(participant__conversation=shown.conversation) | Q(from_here, participant=None)
        to_here &= Q(participant__conversation=shown.conversation) | Q(participant=None)
    hidden = [InboundOutcome.PART, InboundOutcome.DUPLICATE_PART]
    arrived = list(
        InboundMessage.objects.filter(from_here)
        .exclude(outcome__in=hidden)
        .select_related("participant", "sender", "virtual_number")
        .defer("text", "raw")
        .order_by("-pk")[:KEPT]
    )
    waiting = LongMessage.objects.filter(sender__number_hash__in=hashes, closed_at=None)
    own = (
        OutboundMessage.objects.filter(to_here, inbound=None)
        .select_related("participant", "sender", "recipient")
        .defer("text")
        .order_by("-pk")[:KEPT]
    )
    answers = OutboundMessage.objects.filter(inbound__in=arrived).select_related("participant", "sender", "recipient")
    legs = defaultdict(list)
    for message in answers.defer("text").order_by("pk"):
        legs[message.inbound_id].append(message)
    events = defaultdict(list)
    messages = [message.pk for some in legs.values() for message in some] + [message.pk for message in own]
    for event in MessageEvent.objects.filter(message__in=messages).order_by("pk"):
        events[event.message_id].append(event)
    by_id = {text.carrier_message_id: text for text in typed}
    trips = [_trip_of_text(message, legs[message.pk], events, people, by_id) for message in arrived]
    trips += [_trip_of_parts(long, people) for long in waiting.select_related("sender", "virtual_number")[:KEPT]]
    trips += [_trip_of_notice(message, events, people) for message in own]
    return sorted(trips, key=lambda trip: (trip["at"], trip["id"]), reverse=True)[:KEPT]


class _People:
    """The names of people, and the phones that are shown, by the hash of the real number."""

    def __init__(self, shown: Shown) -> None:
        self.names = {handset.number_hash: str(handset) for handset in shown.handsets}
        self.phones = {handset.number_hash: handset.pk for handset in shown.handsets}

    def find(self, person: RealNumber | None, label: str = "") -> dict[str, Any]:
        """Return the person as the page names them. Their own number is masked."""
        if person is None:
            return {"name": _("Unknown"), "phone": None, "own": "•••"}
        name = label or self.names.get(person.number_hash) or _("Somebody")
        return {"name": name, "phone": self.phones.get(person.number_hash), "own": str(person)}


def _trip_of_text(
    message: InboundMessage,
    legs: list[OutboundMessage],
    events: dict[int, list[MessageEvent]],
    people: _People,
    typed: dict[str, SimulatedText],
) -> dict[str, Any]:
    writer = people.find(message.sender, message.participant.name if message.participant else "")
    number = spaced(message.virtual_number.number) if message.virtual_number else ""
    text = typed.get(_first_id(message))
    steps = [_step(text.created_at if text else message.received_at, _texts(writer, number))]
    if text and text.fault in MET:
        steps.append(_step(text.created_at, str(MET[FaultKind(text.fault)])))
    words = outcome_words(message.outcome)
    steps.append(_step(message.received_at, _("The proxy checks it. %(words)s.") % {"words": words}))
    drawn = [_leg(each, events[each.pk], people) for each in legs]
    steps += [step for leg in drawn for step in leg.pop("steps")]
    relays = [leg.state for leg in legs if leg.kind == MessageKind.RELAY]
    is_passed_on = message.outcome == InboundOutcome.RELAYED
    tick = tick_of_states(relays) if is_passed_on and relays else None
    return {
        "id": _id_of(message),
        "at": steps[0]["at"],
        "from": writer,
        "number": number,
        "words": tick.words if tick else words,
        "tone": _tone(relays) if tick else "stopped",
        "stage": min((_stage(state) for state in relays), default=AT_PROXY),
        "legs": drawn,
        "steps": sorted(steps, key=lambda step: str(step["at"])),
    }


def _trip_of_parts(long: LongMessage, people: _People) -> dict[str, Any]:
    """Return the trip of a long message of which the network still carries some parts."""
    writer, number = people.find(long.sender), spaced(long.virtual_number.number)
    parts = list(long.received_parts().order_by("received_at").values_list("part", "received_at"))
    steps = [
        _step(at, _("Part %(part)s of %(parts)s reaches the proxy.") % {"part": part, "parts": long.parts})
        for part, at in parts
    ]
    return {
        "id": f"long-{long.pk}",
        "at": steps[0]["at"] if steps else long.due_at.isoformat(),
        "from": writer,
        "number": number,
        "words": outcome_words(InboundOutcome.PART),
        "tone": "moving",
        "stage": AT_NUMBER,
        "legs": [],
        "steps": steps,
    }


def _trip_of_notice(message: OutboundMessage, events: dict[int, list[MessageEvent]], people: _People) -> dict[str, Any]:
    leg = _leg(message, events[message.pk], people)
    begun = _step(message.created_at, _("The proxy writes to %(person)s itself.") % {"person": leg["to"]["name"]})
    return {
        "id": f"own-{message.pk}",
        "at": begun["at"],
        "from": None,
        "number": "",
        "words": leg["words"],
        "tone": _tone([message.state]),
        "stage": _stage(message.state),
        "legs": [leg],
        "steps": [begun, *leg.pop("steps")],
    }


def _leg(message: OutboundMessage, events: list[MessageEvent], people: _People) -> dict[str, Any]:
    """Return the way of one message from the proxy to a phone."""
    reader = people.find(message.recipient, message.participant.name if message.participant else "")
    number = spaced(message.sender.number)
    tick = tick_of_states([message.state])
    return {
        "to": reader,
        "number": number,
        "is_relay": message.kind == MessageKind.RELAY,
        "kind": _kind(message.kind),
        "words": tick.words,
        "mark": tick.mark,
        "tone": _tone([message.state]),
        "steps": [step for event in events if (step := _step_of(event, reader["name"], number))],
    }


def _step_of(event: MessageEvent, person: str, number: str) -> dict[str, str] | None:
    known = {"person": person, "number": number}
    words = {
        _S.SENDING: _("The proxy sends it to %(person)s from %(number)s.") % known,
        _S.SENT: _("The carrier accepts it for %(person)s.") % known,
        _S.DELIVERED: _("Receipt: it is on %(person)s’s phone.") % known,
        _S.UNDELIVERED: _("Receipt: the network could not deliver it to %(person)s.") % known,
        _S.FAILED: _("The carrier refuses it for good.") % known,
        _S.UNKNOWN: _("The carrier does not answer: perhaps sent. The proxy does not send it twice blindly."),
        _S.CANCELLED: _("The proxy does not send it."),
    }
    if event.new_state == _S.QUEUED and event.old_state:
        return _step(event.created_at, _("The carrier refuses for now. The proxy waits, then tries again."))
    found = words.get(_S(event.new_state))
    return _step(event.created_at, found) if found else None


def _texts(writer: dict[str, Any], number: str) -> str:
    return _("%(person)s texts %(number)s.") % {"person": writer["name"], "number": number}


def _kind(kind: str) -> str:
    words = {
        MessageKind.RELAY: _("the text"),
        MessageKind.NOTICE: _("a notice of the proxy"),
        MessageKind.CONFIRMATION: _("the first text of the proxy"),
        MessageKind.API: _("a text of the marketplace"),
        MessageKind.KEYWORD_ANSWER: _("an answer of the proxy"),
    }
    return words[MessageKind(kind)]


def _step(at: datetime, words: str) -> dict[str, str]:
    return {"at": at.isoformat(), "words": words}


def _stage(state: str) -> int:
    if state == _S.DELIVERED:
        return ARRIVED
    return AT_PROXY if state == _S.QUEUED else AT_SECOND_NUMBER


def _tone(states: list[str]) -> str:
    if any(state in _BAD for state in states):
        return "bad"
    return "good" if states and all(state == _S.DELIVERED for state in states) else "moving"


def _id_of(message: InboundMessage) -> str:
    """Return an id that stays when the parts of a long message are joined."""
    joined = message.carrier_message_id
    return f"long-{joined.removeprefix('long:')}" if joined.startswith("long:") else f"in-{message.pk}"


def _first_id(message: InboundMessage) -> str:
    """Return the carrier's id of a text, or of the first part of a joined one."""
    if not message.carrier_message_id.startswith("long:"):
        return message.carrier_message_id
    long_id = int(message.carrier_message_id.removeprefix("long:"))
    first = InboundMessage.objects.filter(long_message=long_id, part=1, outcome=InboundOutcome.PART)
    return first.values_list("carrier_message_id", flat=True).first() or ""

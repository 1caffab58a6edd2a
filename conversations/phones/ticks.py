"""The ticks of typed texts: what became of each, for all its recipients together."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from conversations.models import InboundMessage, InboundOutcome, OutboundMessage, OutboundState
from conversations.models.outbound_state import MessageKind

_O, _S = InboundOutcome, OutboundState
# The id of the row of a joined long message: see conversations/intake/long_messages.py.
_JOINED = "long:{}"


class Tick(NamedTuple):
    """mark: sending, sent, delivered, failed or stopped: the page has a sign for each. words: the same in words."""

    mark: str
    words: str


def ticks_of(message_ids: Collection[str]) -> dict[str, Tick]:
    """Return the tick of each text that was typed, by its carrier message id."""
    stored = InboundMessage.objects.filter(carrier_message_id__in=message_ids).defer("text", "raw")
    found = {message.carrier_message_id: message for message in stored}
    parts = {key: message.long_message_id for key, message in found.items() if message.outcome == _O.PART}
    joined = InboundMessage.objects.filter(carrier_message_id__in=[_JOINED.format(pk) for pk in parts.values()])
    by_id = {message.carrier_message_id: message for message in joined.defer("text", "raw")} if parts else {}
    found |= {key: by_id[_JOINED.format(pk)] for key, pk in parts.items() if _JOINED.format(pk) in by_id}
    states = _relay_states([message.pk for message in found.values()])
    return {key: _tick(found.get(key), states) for key in message_ids}


def outcome_words(outcome: str) -> str:
    """Return what the proxy did with a text of this outcome, as a sentence without its full stop."""
    words: dict[str, Any] = {
        _O.RELAYED: _("Passed on"),
        _O.ENDED: _("Not passed on: the conversation has ended"),
        _O.NO_ROUTE: _("Not passed on: no conversation uses this number with this phone"),
        _O.PART: _("Waits for its other parts"),
        _O.TOO_LONG: _("Not passed on: it is too long"),
        _O.EMPTY: _("Not passed on: it is empty"),
        _O.KEYWORD: _("Answered by the proxy: STOP, START and HELP are for it"),
        _O.OPTED_OUT: _("Not passed on: somebody texted STOP"),
        _O.BLOCKED: _("Not passed on: its writer is blocked"),
        _O.LIMITED: _("Not passed on: too many texts for now"),
        _O.HELD: _("Held: the conversation is on hold"),
        _O.ONE_WAY: _("Not passed on: this person only receives"),
        _O.REACTION: _("Not passed on: a reaction"),
    }
    return str(words.get(outcome, _("Not passed on")))


def tick_of_states(states: Sequence[str]) -> Tick:
    """Return the tick of a text whose relays have these states."""
    arrived = sum(state == _S.DELIVERED for state in states)
    if arrived == len(states):
        return Tick("delivered", _("Delivered"))
    if any(state in (_S.FAILED, _S.UNDELIVERED, _S.CANCELLED) for state in states):
        if arrived:
            return Tick("failed", _("Delivered to %(some)s of %(all)s") % {"some": arrived, "all": len(states)})
        return Tick("failed", _("Not delivered"))
    if any(state == _S.UNKNOWN for state in states):
        return Tick("sending", _("Perhaps sent: the carrier did not answer"))
    if all(state in (_S.SENT, _S.DELIVERED) for state in states):
        return Tick("sent", _("Sent"))
    return Tick("sending", _("On its way"))


def _relay_states(inbound_ids: list[int]) -> dict[int, list[str]]:
    states: dict[int, list[str]] = defaultdict(list)
    relays = OutboundMessage.objects.filter(inbound__in=inbound_ids, kind=MessageKind.RELAY)
    for inbound_id, state in relays.values_list("inbound_id", "state"):
        if inbound_id is not None:
            states[inbound_id].append(state)
    return states


def _tick(message: InboundMessage | None, states: dict[int, list[str]]) -> Tick:
    if message is None:
        return Tick("sending", _("Still in the network"))
    if message.outcome == _O.RELAYED:
        return tick_of_states(states.get(message.pk, []))
    if message.outcome in (_O.PART, _O.KEYWORD):
        return Tick("sending" if message.outcome == _O.PART else "delivered", outcome_words(message.outcome))
    return Tick("stopped", outcome_words(message.outcome))

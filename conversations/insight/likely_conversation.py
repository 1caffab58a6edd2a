"""The conversation for which a text without a route was probably meant, with the reason.

Only conversations of its sender come into question. The first reason that holds wins:

1. They had this very number in it: their number was replaced, they left, or it has ended since.
2. The number is that of another participant in it.
3. It is the only open conversation of this person.
4. They wrote in it last, and all their open conversations are of one service. Nothing is guessed across services.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from django.db.models import F, OuterRef, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber

from conversations.models import Conversation, InboundMessage, Participant
from conversations.models.message_order import ID_IN_ORDER
from smsproxy.database.clock import database_now

# The newest places of a person in conversations that are looked at.
MOST_PLACES = 20
# Participants with the number of a text, in the conversations of its sender.
MOST_OTHERS = 1000


class Why(Enum):
    """Why a conversation is likely. The best reason first."""

    THEIR_NUMBER = "their_number"
    """The sender has, or had, this virtual number in it. at: until when, or None if they still have it."""
    OTHERS_NUMBER = "others_number"
    """The virtual number is that of another participant. at: when the sender last wrote in it, or None."""
    ONLY_OPEN = "only_open"
    """It is the only open conversation of the sender. at: as above."""
    WROTE_LAST = "wrote_last"
    """The sender wrote in it last. at: when."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A conversation of the sender. why: None if nothing speaks for it. is_open: whether a text can be passed on in it.

    last_text_at: when the sender last wrote in it.
    """

    conversation: Conversation
    is_open: bool
    why: Why | None = None
    at: datetime | None = None
    last_text_at: datetime | None = None


def candidates(texts: Iterable[InboundMessage]) -> Mapping[int, Sequence[Candidate]]:
    """Return the conversations of each text's sender by the text's id, the likeliest first. Three queries for all."""
    known = [text for text in texts if text.sender_id and text.virtual_number_id]
    places = _places({text.sender_id for text in known if text.sender_id}) if known else []
    written = _last_texts(places) if places else {}
    others = _with_these_numbers(places, known) if places else set()
    now = database_now() if known else None
    found: dict[int, Sequence[Candidate]] = {}
    for text in known:
        own = [place for place in places if place.real_number_id == text.sender_id]
        found[text.pk] = _ranked(text, own, written, others, now or text.received_at)
    return found


def likely(found: Sequence[Candidate]) -> Candidate | None:
    """Return the first of these candidates if something speaks for it."""
    return found[0] if found and found[0].why else None


def likely_open(found: Sequence[Candidate]) -> Candidate | None:
    """Return the likely one of these candidates if a text can be passed on in it. Never another one in its place."""
    first = likely(found)
    return first if first and first.is_open else None


def _places(people: "set[int]") -> Sequence[Participant]:
    """Return the newest MOST_PLACES places of each of these people in conversations, left and replaced ones too."""
    newest = Window(RowNumber(), partition_by=F("real_number"), order_by=F("pk").desc())
    ranked = Participant.objects.filter(real_number__in=people).annotate(newest=newest).filter(newest__lte=MOST_PLACES)
    return list(ranked.select_related("conversation", "conversation__service").order_by("-pk"))


def _last_texts(places: Sequence[Participant]) -> Mapping[int, datetime]:
    """Return when a text of each of these participants last arrived, by their ids."""
    last = InboundMessage.objects.filter(participant=OuterRef("pk")).order_by(ID_IN_ORDER.desc())
    rows: QuerySet[Participant] = Participant.objects.filter(pk__in=[place.pk for place in places]).order_by()
    found = rows.annotate(last_text_at=Subquery(last.values("received_at")[:1])).values_list("pk", "last_text_at")
    return {pk: at for pk, at in found if at is not None}


def _with_these_numbers(places: Sequence[Participant], texts: Sequence[InboundMessage]) -> set[tuple[int, int]]:
    """Return the pairs of a conversation and one of the texts' numbers that a participant of it has, by their ids."""
    rows = Participant.objects.current().filter(
        conversation__in={place.conversation_id for place in places},
        proxy_number__in={text.virtual_number_id for text in texts},
    )
    return set(rows.order_by().values_list("conversation", "proxy_number")[:MOST_OTHERS])


def _ranked(
    text: InboundMessage,
    places: Sequence[Participant],
    written: Mapping[int, datetime],
    others: set[tuple[int, int]],
    now: datetime,
) -> Sequence[Candidate]:
    """Return the candidates for a text, the likeliest first. places: of its sender, the newest first."""
    by_conversation: dict[int, list[Participant]] = {}
    for place in places:
        by_conversation.setdefault(place.conversation_id, []).append(place)
    last = {
        pk: max((written[place.pk] for place in own if place.pk in written), default=None)
        for pk, own in by_conversation.items()
    }
    is_open = {pk: _may_write(own, now) for pk, own in by_conversation.items()}
    open_ones = [pk for pk, may in is_open.items() if may]
    is_one_service = len({by_conversation[pk][0].conversation.service_id for pk in open_ones}) == 1
    wrote_last = max((pk for pk in open_ones if last[pk]), key=lambda pk: last[pk] or now, default=None)
    found = []
    for pk, own in by_conversation.items():
        conversation = own[0].conversation
        if conversation.created_at > text.received_at:
            continue  # No conversation gets a text older than itself.
        why, at = None, last[pk]
        had = next((place for place in own if place.proxy_number_id == text.virtual_number_id), None)
        if had is not None:
            why, at = Why.THEIR_NUMBER, had.replaced_at or had.removed_at or conversation.closed_at
        elif (pk, text.virtual_number_id) in others:
            why = Why.OTHERS_NUMBER
        elif open_ones == [pk]:
            why = Why.ONLY_OPEN
        elif pk == wrote_last and is_one_service:
            why = Why.WROTE_LAST
        found.append(Candidate(conversation=conversation, is_open=is_open[pk], why=why, at=at, last_text_at=last[pk]))
    reasons = list(Why)
    return sorted(found, key=lambda each: (reasons.index(each.why) if each.why else len(reasons), not each.is_open))


def _may_write(places: Sequence[Participant], now: datetime) -> bool:
    """Return whether one of these places of a person in a conversation is present, and the conversation goes on."""
    is_present = any(place.is_current for place in places)
    return is_present and places[0].conversation.is_live(now)

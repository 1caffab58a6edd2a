"""Which conversation a text would reach now, and why, or why none. Only reads.

It asks what `inbound.take_in_whole` asks, with a text that nobody wrote: the same look-up, the same gates. So what it
says is what would happen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Self
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from conversations.intake.gates import Arrival, decide
from conversations.intake.receive import arrival_of, is_from_ourselves
from conversations.models import Conversation, LateTexts, Outcome, Participant
from numbers.models import RealNumber, VirtualNumber

# A text that no gate keeps back for what it says.
_PROBE = "?"
MOST_WAYS = 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Somebody in a conversation, and the virtual number that they text and get texts from. position: from 0."""

    position: int
    label: str
    proxy_number: str

    @classmethod
    def of(cls, participant: Participant) -> Self:
        return cls(position=participant.position, label=participant.label, proxy_number=participant.proxy_number.number)


@dataclass(frozen=True, kw_only=True)
class ConversationFound:
    """pool: None is the common one. state: as in the table: one whose time is up may still be open there."""

    id: UUID
    reference: str
    pool: str | None
    state: str

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        pool = conversation.pool
        return cls(
            id=conversation.public_id,
            reference=conversation.reference,
            pool=pool.name if pool else None,
            state=conversation.state,
        )


@dataclass(frozen=True, kw_only=True)
class NumberFound:
    """pool: None is the common one."""

    number: str
    state: str
    pool: str | None


@dataclass(frozen=True, kw_only=True)
class FormerRoute:
    """A conversation for which the pair of numbers stood, and until when."""

    conversation: ConversationFound
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Way:
    """A number of ours that the sender could text instead, and the conversation that they would reach."""

    number: str
    conversation_id: UUID


@dataclass(frozen=True, kw_only=True)
class RouteExplanation:
    """Virtual numbers are in here, and no number of a person.

    virtual_number: None: it is not known. recipients: to whom the text would go. reopens: it would open the
    conversation again. cools_down_until: from then on the pair may stand for others. Where there is no conversation:
    the last one for which the pair stood, and ways, MOST_WAYS at most, by which the sender reaches somebody.
    """

    outcome: Outcome
    why: str
    virtual_number: NumberFound | None
    sender_is_known: bool
    conversation: ConversationFound | None = None
    author: Place | None = None
    recipients: Sequence[Place] = ()
    reopens: bool = False
    cools_down_until: datetime | None = None
    last: FormerRoute | None = None
    ways: Sequence[Way] = ()

    @property
    def is_passed_on(self) -> bool:
        return self.outcome == Outcome.RELAYED


def explain_route(sender: str, recipient: str) -> RouteExplanation:
    """What would become of a text from this real number to this virtual number, both E.164."""
    is_loop = is_from_ourselves(sender)
    participant = None if is_loop else Participant.objects.on_route(sender, recipient).first()
    arrival = arrival_of(_PROBE, participant, is_loop=is_loop)
    outcome = decide(arrival)
    number = _number(recipient)
    person = RealNumber.objects.with_number(sender).first()
    if participant is not None:
        return RouteExplanation(
            outcome=outcome,
            why=_why_here(outcome, arrival, participant),
            virtual_number=number,
            sender_is_known=True,
            conversation=ConversationFound.of(participant.conversation),
            author=Place.of(participant),
            recipients=[Place.of(other) for other in arrival.others] if outcome == Outcome.RELAYED else (),
            reopens=outcome == Outcome.RELAYED and arrival.reopens,
            cools_down_until=participant.release_at,
        )
    last = None if is_loop else _last(sender, recipient)
    return RouteExplanation(
        outcome=outcome,
        why=_why_nowhere(outcome, number, person, last),
        virtual_number=number,
        sender_is_known=person is not None,
        last=last,
        ways=list(islice(_ways(person), MOST_WAYS)) if person and not is_loop else (),
    )


def _number(recipient: str) -> NumberFound | None:
    found = VirtualNumber.objects.select_related("pool").filter(number=recipient).first()
    if found is None:
        return None
    return NumberFound(number=found.number, state=found.state, pool=found.pool.name if found.pool else None)


def _last(sender: str, recipient: str) -> FormerRoute | None:
    last = Participant.objects.of_pair(sender, recipient).released().order_by("-released_at", "-pk").first()
    if last is None or last.released_at is None:
        return None
    return FormerRoute(conversation=ConversationFound.of(last.conversation), until=last.released_at)


def _ways(person: RealNumber) -> Iterator[Way]:
    """The newest conversations first."""
    perhaps = Q(conversation__in=Conversation.objects.live()) | Q(conversation__late_texts=LateTexts.REOPEN)
    theirs = person.participants.unreleased().filter(perhaps).select_related("conversation", "proxy_number")
    for participant in theirs.order_by("-conversation_id", "-pk"):
        if decide(arrival_of(_PROBE, participant, is_loop=False)) == Outcome.RELAYED:
            yield Way(number=participant.proxy_number.number, conversation_id=participant.conversation.public_id)


def _why_here(outcome: Outcome, arrival: Arrival, participant: Participant) -> str:
    if outcome == Outcome.ENDED:
        return f"{_ended(participant.conversation)}, and {_not_reopened(participant.conversation)}."
    if outcome != Outcome.RELAYED:
        return f"The pair stands for participant {participant.position}, but a gate keeps it back: {outcome.label}."
    if arrival.reopens:
        return f"{_ended(participant.conversation)}; a late text opens it again, and goes to everybody else in it."
    number = ""
    if participant.replaced_by_id:
        number = " They have another number by now; this one still reaches the others until its cool-down is over."
    return f"The pair stands for participant {participant.position}, and the conversation is open.{number}"


def _ended(conversation: Conversation) -> str:
    """How."""
    now = timezone.now()
    if conversation.closed_at is not None:
        return f"The conversation ended at {conversation.closed_at:%Y-%m-%d %H:%M} UTC ({conversation.closed_reason})"
    if conversation.expires_at is not None and conversation.expires_at <= now:
        return f"The conversation expired at {conversation.expires_at:%Y-%m-%d %H:%M} UTC"
    return "Nobody wrote in the conversation for as long as it may rest"


def _not_reopened(conversation: Conversation) -> str:
    if conversation.late_texts == LateTexts.REOPEN:
        return "no text opens it again, since one of its numbers may be somebody else's by now"
    return "late texts are answered that it has ended"


def _why_nowhere(
    outcome: Outcome, number: NumberFound | None, person: RealNumber | None, last: FormerRoute | None
) -> str:
    if outcome == Outcome.LOOP:
        return "The sender is a virtual number of ours: answering it could go on for ever."
    if number is None:
        return "The number that is texted is none of ours."
    if person is None:
        return "We do not know the sender: they are in no conversation."
    if last is None:
        return "The pair has never stood for a conversation."
    return f"The pair stood for a conversation until {last.until:%Y-%m-%d %H:%M} UTC, and stands for none now."

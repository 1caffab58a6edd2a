"""Explain which conversation a message would reach now, or why it would reach none. Writes nothing.

The read and the gates are those of a real inbound message, so the answer is what would happen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Self
from uuid import UUID

from django.db.models import Q

from conversations.intake.gates import decide
from conversations.intake.read_arrival import InboundContext, read_arrival
from conversations.models import (
    Block,
    Conversation,
    InboundOutcome,
    LateMessagePolicy,
    LimitUsage,
    Participant,
)
from conversations.trust.limits import message_charges
from numbers.models import RealNumber, VirtualNumber

# A body that no gate stops.
_PROBE = "?"
MAX_WAYS = 20


@dataclass(frozen=True, kw_only=True)
class ParticipantView:
    """A participant, and their proxy number. position: from 0."""

    position: int
    label: str
    proxy_number: str

    @classmethod
    def of(cls, participant: Participant) -> Self:
        return cls(position=participant.position, label=participant.label, proxy_number=participant.proxy_number.number)


@dataclass(frozen=True, kw_only=True)
class ConversationFound:
    """pool: None is the common pool. status: as in the API, so an expired conversation is closed."""

    id: UUID
    reference: str
    pool: str | None
    status: str

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        pool = conversation.pool
        return cls(
            id=conversation.public_id,
            reference=conversation.reference,
            pool=pool.name if pool else None,
            status=conversation.status_now,
        )


@dataclass(frozen=True, kw_only=True)
class NumberFound:
    """pool: None is the common pool."""

    number: str
    status: str
    pool: str | None


@dataclass(frozen=True, kw_only=True)
class FormerRoute:
    """A conversation that had this pair of numbers, and the time at which it released the pair."""

    conversation: ConversationFound
    until: datetime


@dataclass(frozen=True, kw_only=True)
class AlternativeRoute:
    """Another virtual number that the sender could text, and the conversation that they would reach."""

    number: str
    conversation_id: UUID


@dataclass(frozen=True, kw_only=True)
class RouteExplanation:
    """The explanation. It contains virtual numbers, and no real number.

    virtual_number: None if the number is not ours. recipients: who would receive the message. reopens: whether the
    message would reopen the conversation. cools_down_until: the end of the pair's cool-down. Without a conversation:
    last is the latest one of the pair. ways are at most MAX_WAYS other numbers by which the sender reaches somebody.
    """

    outcome: InboundOutcome
    why: str
    virtual_number: NumberFound | None
    sender_is_known: bool
    conversation: ConversationFound | None = None
    author: ParticipantView | None = None
    recipients: Sequence[ParticipantView] = ()
    reopens: bool = False
    cools_down_until: datetime | None = None
    last: FormerRoute | None = None
    ways: Sequence[AlternativeRoute] = ()

    @property
    def is_passed_on(self) -> bool:
        return self.outcome == InboundOutcome.RELAYED


def explain_route(sender: str, recipient: str, *, service_id: int | None = None) -> RouteExplanation:
    """Explain the outcome of a message from this real number to this virtual number, both E.164.

    service_id: the service that asks, which learns nothing of another's conversations. None: staff, who see all.
    """
    context = read_arrival(sender, recipient, _PROBE)
    participant = context.author
    outcome = decide(context)
    number = _number(recipient)
    conversation = _visible(participant, service_id)
    if participant is not None and conversation is not None:
        charges = message_charges(participant.real_number_id, participant.conversation_id, conversation.service_id)
        if outcome == InboundOutcome.RELAYED and LimitUsage.objects.refusal(charges, at=context.now):
            outcome = InboundOutcome.LIMITED
        return RouteExplanation(
            outcome=outcome,
            why=_explain_found(outcome, context, participant, conversation),
            virtual_number=number,
            sender_is_known=True,
            conversation=ConversationFound.of(conversation),
            author=ParticipantView.of(participant),
            recipients=[ParticipantView.of(other) for other in context.recipients]
            if outcome == InboundOutcome.RELAYED
            else (),
            reopens=outcome == InboundOutcome.RELAYED and context.reopens,
            cools_down_until=participant.release_at,
        )
    if service_id is not None:
        context = _seen_by(service_id, context, sender)
    last = None if context.is_loop else _last(sender, recipient, service_id)
    person = None if context.is_loop else context.sender
    outcome = decide(context)
    return RouteExplanation(
        outcome=outcome,
        why=_explain_missing(outcome, context, number, last, service_id),
        virtual_number=number,
        sender_is_known=context.sender is not None,
        last=last,
        ways=list(islice(_ways(sender, person, service_id), MAX_WAYS)) if person else (),
    )


def _visible(participant: Participant | None, service_id: int | None) -> Conversation | None:
    """Return the participant's conversation, or None if it belongs to another service than the one that asks."""
    if participant is None:
        return None
    conversation = Conversation.objects.select_related("pool").get(pk=participant.conversation_id)
    return conversation if service_id in (None, conversation.service_id) else None


def _seen_by(service_id: int, context: InboundContext, sender: str) -> InboundContext:
    """Return the context as if there were no other service: without its conversations, its blocks and its people."""
    person = context.sender
    blocked = Block.objects.in_service(service_id).of_sender(person.pk if person else None, sender)
    return replace(
        context,
        sender=person if person and _was_in(service_id, person) else None,
        author=None,
        too_young=None,
        predecessor=None,
        is_blocked=blocked.towards_everybody,
    )


def _was_in(service_id: int, person: RealNumber) -> bool:
    """Return whether the person was ever in a conversation of this service."""
    return person.participants.filter(conversation__service=service_id).exists()


def _number(recipient: str) -> NumberFound | None:
    found = VirtualNumber.objects.select_related("pool").with_number(recipient).first()
    if found is None:
        return None
    return NumberFound(number=found.number, status=found.state, pool=found.pool.name if found.pool else None)


def _last(sender: str, recipient: str, service_id: int | None) -> FormerRoute | None:
    found = Participant.objects.of_pair(sender, recipient).released().order_by("-released_at", "-pk")
    last = (found if service_id is None else found.filter(conversation__service=service_id)).first()
    if last is None or last.released_at is None:
        return None
    return FormerRoute(conversation=ConversationFound.of(last.conversation), until=last.released_at)


def _ways(sender: str, person: RealNumber, service_id: int | None) -> Iterator[AlternativeRoute]:
    """Return the numbers by which this person reaches a conversation, newest conversation first."""
    perhaps = Q(conversation__in=Conversation.objects.open_now()) | Q(
        conversation__late_messages=LateMessagePolicy.REOPEN
    )
    theirs = person.participants.unreleased().filter(perhaps).select_related("conversation", "proxy_number")
    if service_id is not None:
        theirs = theirs.filter(conversation__service=service_id)
    for participant in theirs.order_by("-conversation_id", "-pk"):
        number = participant.proxy_number.number
        if decide(read_arrival(sender, number, _PROBE)) == InboundOutcome.RELAYED:
            yield AlternativeRoute(number=number, conversation_id=participant.conversation.public_id)


def _explain_found(
    outcome: InboundOutcome, context: InboundContext, participant: Participant, conversation: Conversation
) -> str:
    if outcome == InboundOutcome.ENDED and participant.is_out:
        since = f"{participant.removed_at:%Y-%m-%d %H:%M} UTC"
        return f"This phone left the conversation at {since}. Late texts get the notice that it has ended."
    if outcome == InboundOutcome.ONE_WAY:
        return f"Participant {participant.position} only receives: nobody gets their texts."
    if outcome == InboundOutcome.ENDED:
        return f"{_ended(conversation, context.now)}, and {_not_reopened(conversation, context.now)}."
    if stopped := _explain_stop(outcome, context, conversation):
        return stopped
    if outcome != InboundOutcome.RELAYED:
        return f"The pair belongs to participant {participant.position}, but a gate stops the text: {outcome.label}."
    if context.reopens:
        return f"{_ended(conversation, context.now)}; a late text reopens it and goes to the other participants."
    number = ""
    if participant.replaced_by_id:
        number = " They have another number now; this one still reaches the others until its cool-down ends."
    excluded = ""
    if len(context.recipients) < len(context.others):
        excluded = " Others of them do not get it: they have opted out, or are blocked towards the sender."
    return f"The pair belongs to participant {participant.position}, and the conversation is open.{number}{excluded}"


def _explain_stop(outcome: InboundOutcome, context: InboundContext, conversation: Conversation | None = None) -> str:
    """Explain a stop by STOP, a block or a hold. Return "" for any other outcome."""
    if outcome == InboundOutcome.OPTED_OUT:
        if context.sender and context.sender.opted_out_at:
            since = f"{context.sender.opted_out_at:%Y-%m-%d %H:%M} UTC"
            return f"The sender has opted out with STOP, at {since}. START ends that."
        return "Nobody receives it: the other participants have opted out with STOP."
    if outcome == InboundOutcome.BLOCKED:
        if context.is_blocked:
            return "The sender is blocked, or a prefix of their number."
        return "Nobody receives it: the sender and the other participants are blocked towards each other."
    if outcome == InboundOutcome.HELD and conversation and conversation.held_at:
        since = f"{conversation.held_at:%Y-%m-%d %H:%M} UTC"
        return f"The conversation is on hold since {since}: {conversation.held_reason}. Staff can release it."
    return ""


def _ended(conversation: Conversation, now: datetime) -> str:
    """Describe how the conversation ended."""
    if conversation.closed_at is not None:
        return f"The conversation ended at {conversation.closed_at:%Y-%m-%d %H:%M} UTC ({conversation.closed_reason})"
    if conversation.expires_at is not None and conversation.expires_at <= now:
        return f"The conversation expired at {conversation.expires_at:%Y-%m-%d %H:%M} UTC"
    return "The conversation ended because nobody wrote for its idle_ttl"


def _not_reopened(conversation: Conversation, now: datetime) -> str:
    if conversation.late_messages == LateMessagePolicy.REOPEN:
        if conversation.fixed_end_has_passed(now):
            return "no text reopens it, because its fixed end has passed"
        return "no text reopens it, because one of its numbers may be in another conversation"
    return "late texts get the notice that it has ended"


def _explain_missing(
    outcome: InboundOutcome,
    context: InboundContext,
    number: NumberFound | None,
    last: FormerRoute | None,
    service_id: int | None,
) -> str:
    of_service = "" if service_id is None else " of this service"
    if outcome == InboundOutcome.LOOP:
        return "The sender is a virtual number of ours: a reply could cause an endless loop."
    if stopped := _explain_stop(outcome, context):
        return stopped
    if number is None:
        return "The recipient is not one of our numbers."
    if context.sender is None:
        return "The sender is unknown: they are in no conversation."
    if last is None:
        return f"No conversation{of_service} has ever had this pair of numbers."
    return (
        f"A conversation{of_service} had this pair of numbers until {last.until:%Y-%m-%d %H:%M} UTC; none has it now."
    )

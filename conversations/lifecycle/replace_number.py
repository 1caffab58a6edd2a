"""Replace a virtual number: give everybody in its open conversations another one, and send a notice from there.

Each person is moved in a separate transaction, so an interrupted run can be run again. The old number still reaches
the conversation until its cool-down ends. Then it has no live pairs and is retired.

The members of a side move one after another to one number. If no number is free for all of them, they get different
numbers, and the side still works.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F

from conversations.delivery.outbox import queue_notice
from conversations.lifecycle.choose_replacement import best_replacement
from conversations.lifecycle.shortage import shortage_error
from conversations.models import Conversation, OutboundMessage, Participant, UnreadableRow
from conversations.models.conversation_feed import announce_proxy_number
from conversations.models.own_texts import text_in
from conversations.models.participant import ParticipantQuerySet
from numbers.assignment.choose import Preference
from numbers.models import NumberState, VirtualNumber
from numbers.models.pool import cool_down_of
from smsproxy.carriers.gsm7 import segments
from smsproxy.crypto import Unreadable
from smsproxy.database.clock import database_now
from smsproxy.services.texts import TextKind
from smsproxy.states import StaleState

# Conflicts in a row with concurrent requests for the chosen number, before a person is reported as not moved.
_MAX_TRIES = 10
_UNREADABLE = "no key of ENCRYPTION_KEYS can decrypt their real number"


@dataclass(frozen=True, kw_only=True)
class ReplacementPreview:
    """The effects that a replacement would have now.

    people: people to move. texts, sms: notices to send, and their segments. stuck: people with no number free.
    cooling: pairs of ended conversations, which stay with the number until they have cooled down.
    """

    people: int
    texts: int
    sms: int
    stuck: int
    cooling: int


@dataclass(frozen=True, kw_only=True)
class PlannedMove:
    """What a replacement would do for one participant. to: None if no number is free. sms: of the notice, in segments.

    sms is 0 without a notice: its text is empty, or the person has opted out.
    """

    participant: Participant
    to: VirtualNumber | None
    sms: int


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """The result for one participant. to: their new number, or None if they were not moved; then `why` says why."""

    participant: Participant
    to: VirtualNumber | None
    why: str = ""


def preview(number: VirtualNumber, successors: Sequence[VirtualNumber] = ()) -> ReplacementPreview:
    """Return the effects that replacing this number would have.

    successors: the only numbers to use instead; empty for any that assignment finds.
    """
    moves = list(planned_moves(number, successors))
    notices = [move.sms for move in moves if move.sms]
    return ReplacementPreview(
        people=len(moves),
        texts=len(notices),
        sms=sum(notices),
        stuck=sum(move.to is None for move in moves),
        cooling=number.participants.current().cooling().count(),
    )


def planned_moves(
    number: VirtualNumber, successors: Sequence[VirtualNumber] = (), *, most: int | None = None
) -> Iterator[PlannedMove]:
    """Yield what a replacement would do now for each person. most: of them. See `preview`."""
    given: Counter[int] = Counter()  # By number: people before in this preview, who count toward its cap.
    for participant in _to_move(number)[:most]:
        best = None if _is_unreadable(participant) else best_replacement(participant, successors, given)
        text = _notice(participant) if best and participant.real_number.opted_out_at is None else ""
        to = best.number if best else None
        yield PlannedMove(participant=participant, to=to, sms=segments(text).count if text else 0)


def people_to_move(number: VirtualNumber) -> int:
    """Return how many people in open conversations use this number."""
    return _to_move(number).count()


def replace(
    number: VirtualNumber, successors: Sequence[VirtualNumber] = (), *, reason: str = "to be replaced", actor: str = ""
) -> Iterator[Replacement]:
    """Drain the number and move its people to other numbers, one by one. Safe to repeat.

    Raises StaleState: the number is ordered or retired.
    """
    if number.state in (NumberState.ACTIVE, NumberState.CONFIGURING):
        with suppress(StaleState):  # Another run has just done the same.
            number.drain(reason=reason, actor=actor)
        number.refresh_from_db()
    if number.state not in (NumberState.DRAINING, NumberState.QUARANTINED):
        raise StaleState(f"virtual number {number.pk} is {number.state}")
    try:
        for participant in _to_move(number):
            if moved := _move(participant, successors):
                yield moved
    finally:  # Also if the caller stops before the last.
        UnreadableRow.objects.store_met()


def _to_move(number: VirtualNumber) -> ParticipantQuerySet:
    """Return the participants of open conversations who still use this number."""
    live = Conversation.objects.open_now()
    people: ParticipantQuerySet = number.participants.current().unreleased().filter(conversation__in=live)
    return people.select_related("conversation__pool", "real_number", "proxy_number").order_by("pk")


def _move(participant: Participant, successors: Sequence[VirtualNumber]) -> Replacement | None:
    """Return what became of this participant, or None if nothing is left to move."""
    for _ in range(_MAX_TRIES):
        with suppress(IntegrityError), transaction.atomic():
            # Processing an inbound message takes the same lock: after this, none is queued for the old number.
            Conversation.objects.lock([participant.conversation_id])
            current = _to_move(participant.proxy_number).filter(pk=participant.pk).first()
            if current is None:
                return None
            if _is_unreadable(current):
                return Replacement(participant=current, to=None, why=_UNREADABLE)
            best = best_replacement(current, successors, Counter())
            if best is None:
                return Replacement(participant=current, to=None, why=_why_stuck(current, successors))
            if _give(current, best.number):
                return Replacement(participant=current, to=best.number)
            transaction.set_rollback(True)
    return Replacement(
        participant=participant, to=None, why="concurrent requests took every free number. Run the command again"
    )


def _is_unreadable(participant: Participant) -> bool:
    """Return whether the person's number cannot be decrypted. They cannot be told about another number."""
    return isinstance(participant.real_number.number, Unreadable)


def _give(old: Participant, number: VirtualNumber) -> bool:
    """Insert the participant with the new number. Return False if the number is at its cap or out of service.

    The caller must then roll back.
    """
    conversation, now = old.conversation, database_now()
    # The old row first refers to itself: a person may be in a conversation only once without a replacement.
    Participant.objects.filter(pk=old.pk).update(replaced_by=old.pk, replaced_at=now)
    new = Participant.objects.create(
        conversation=conversation,
        position=old.position,
        label=old.label,
        side=old.side,
        one_way=old.one_way,
        real_number=old.real_number,
        proxy_number=number,
        chosen_by=Preference.REPLACEMENT,
        created_at=now,
    )
    cooled_down_at = now + cool_down_of(conversation.pool)
    Participant.objects.filter(pk=old.pk).update(replaced_by=new, release_at=cooled_down_at)
    # Makes an inbound message that was read before this, and is processed after it, read the route again.
    Conversation.objects.filter(pk=conversation.pk).update(route_version=F("route_version") + 1)
    conversation.record_event(
        conversation.state,
        old_state=conversation.state,
        reason=f"participant {old.position} was given {number} in place of {old.proxy_number}",
    )
    announce_proxy_number(conversation.pk, conversation.service_id, position=old.position, number=number.number)
    if old.proxy_number.state == NumberState.QUARANTINED:
        # The old number cannot send.
        OutboundMessage.objects.move_line(old, new)
    if text := _notice(new):
        queue_notice(new, text)
    return VirtualNumber.objects.add_live_pairs({number.pk: 1}, cap=conversation.policy.cap)


def _notice(participant: Participant) -> str:
    others = " and ".join(other.label or "the other person" for other in participant.others())
    return text_in(participant.conversation, TextKind.REPLACED).replace("{label}", others)


def _why_stuck(participant: Participant, successors: Sequence[VirtualNumber]) -> str:
    if successors:
        return "each of the named numbers is taken, at its cap, or cannot text this participant"
    return shortage_error(participant.position, participant.real_number, participant.conversation.policy).for_operator

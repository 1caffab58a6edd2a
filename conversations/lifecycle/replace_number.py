"""Replacing a virtual number: everybody who talks through it is given another, and told so from there.

Each person is a transaction of their own, so whatever stops the run, the next one goes on with those who are left. The
old number still reaches the conversation until its cool-down is over; then it serves nobody, and retires itself.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from conversations.delivery.outbox import queue_notice
from conversations.lifecycle.shortage import no_number_free
from conversations.models import Conversation, OutboundMessage, OutboundState, Participant
from conversations.models.participant import ParticipantQuerySet
from numbers.assignment.choose import Choice, Preference, best_numbers, can_text
from numbers.models import NumberState, VirtualNumber
from numbers.models.pool import cool_down_of
from smsproxy.carriers.gsm7 import segments
from smsproxy.states import StaleState

# So often in a row others may be faster with the number that was free.
_MOST_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a replacement would do now.

    people: who would be given another number. texts, sms: what that sends. stuck: for how many of the people none is
    free. cooling: pairs of ended conversations, which stay with the number until they have cooled down.
    """

    people: int
    texts: int
    sms: int
    stuck: int
    cooling: int


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What became of one participant. to: the number that they have now; None: none is free, and why says so."""

    participant: Participant
    to: VirtualNumber | None
    why: str = ""


def preview(number: VirtualNumber, successors: Sequence[VirtualNumber] = ()) -> Preview:
    """successors: the numbers that may take its place; none: any that assignment finds."""
    people = texts = sms = stuck = 0
    given: Counter[int] = Counter()  # To those before, who fill a number up to its cap.
    for participant in _to_move(number):
        people += 1
        if _best(participant, successors, given) is None:
            stuck += 1
        elif text := _notice(participant):
            texts += 1
            sms += segments(text).count
    cooling = number.participants.current().cooling().count()
    return Preview(people=people, texts=texts, sms=sms, stuck=stuck, cooling=cooling)


def replace(number: VirtualNumber, successors: Sequence[VirtualNumber] = ()) -> Iterator[Moved]:
    """Take it out of service and move its people to other numbers, one after the other. It can be begun again.

    Raises StaleState: it is retired, or not ours.
    """
    if number.state in (NumberState.ACTIVE, NumberState.CONFIGURING):
        with suppress(StaleState):  # Another run has just done the same.
            number.drain(reason="to be replaced")
        number.refresh_from_db()
    if number.state not in (NumberState.DRAINING, NumberState.QUARANTINED):
        raise StaleState(f"virtual number {number.pk} is {number.state}")
    for participant in _to_move(number):
        if moved := _move(participant, successors):
            yield moved


def _to_move(number: VirtualNumber) -> ParticipantQuerySet:
    """Those who would be left without a way into an open conversation."""
    live = Conversation.objects.live()
    people: ParticipantQuerySet = number.participants.current().unreleased().filter(conversation__in=live)
    return people.select_related("conversation__pool", "real_number", "proxy_number").order_by("pk")


def _move(participant: Participant, successors: Sequence[VirtualNumber]) -> Moved | None:
    """None: it need not be moved any more."""
    for _ in range(_MOST_TRIES):
        with suppress(IntegrityError), transaction.atomic():
            # As a text does that is being taken in: none is queued for the old number once this is through.
            Conversation.objects.select_for_update(no_key=True).get(pk=participant.conversation_id)
            current = _to_move(participant.proxy_number).filter(pk=participant.pk).first()
            if current is None:
                return None
            best = _best(current, successors, Counter())
            if best is None:
                return Moved(participant=current, to=None, why=_why_stuck(current, successors))
            if _give(current, best.number):
                return Moved(participant=current, to=best.number)
            transaction.set_rollback(True)
    return Moved(participant=participant, to=None, why="others were faster with each number that was free")


def _best(participant: Participant, successors: Sequence[VirtualNumber], given: Counter[int]) -> Choice | None:
    person = participant.real_number
    policy = participant.conversation.policy
    able = [number for number in successors if can_text(number, person)]
    if successors and not able:
        return None
    for wish in [{person.pk: number} for number in able] or [{}]:
        [best] = best_numbers([person], policy, named=wish, given=given)
        if best is not None:
            return best
    return None


def _give(old: Participant, number: VirtualNumber) -> bool:
    """False: the number is full, or out of service by now, and the caller must roll back."""
    conversation, now = old.conversation, timezone.now()
    # For a moment it is replaced by itself, since a person is in a conversation once.
    Participant.objects.filter(pk=old.pk).update(replaced_by=old.pk, replaced_at=now)
    new = Participant.objects.create(
        conversation=conversation,
        position=old.position,
        label=old.label,
        real_number=old.real_number,
        proxy_number=number,
        chosen_by=Preference.REPLACEMENT,
    )
    cooled_down_at = now + cool_down_of(conversation.pool)
    Participant.objects.filter(pk=old.pk).update(replaced_by=new, release_at=cooled_down_at)
    # A text whose numbers were read before, and which is taken in after, is read again.
    Conversation.objects.filter(pk=conversation.pk).update(route_version=F("route_version") + 1)
    conversation.record(
        conversation.state,
        old_state=conversation.state,
        reason=f"participant {old.position} was given {number} in place of {old.proxy_number}",
    )
    if old.proxy_number.state == NumberState.QUARANTINED:
        # What waits for a number that cannot send goes from the new one.
        waiting = OutboundMessage.objects.filter(participant=old, state=OutboundState.QUEUED)
        waiting.update(participant=new, sender=number)
    if text := _notice(new):
        queue_notice(new, text)
    return VirtualNumber.objects.give({number.pk: 1}, cap=conversation.policy.cap)


def _notice(participant: Participant) -> str:
    others = " and ".join(other.label or "the other person" for other in participant.others())
    notice: str = settings.REPLACED_NOTICE
    return notice.replace("{label}", others)


def _why_stuck(participant: Participant, successors: Sequence[VirtualNumber]) -> str:
    if successors:
        return "each of the numbers named is taken, full, or cannot text them"
    return no_number_free(participant.position, participant.real_number, participant.conversation.policy).detail

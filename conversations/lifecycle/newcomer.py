"""A person, or a person's new phone, that joins an existing conversation: the checks, the number, the confirmation."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from conversations.lifecycle.check_people import check_people, find_or_insert, look_up_phones, refuse_opted_out
from conversations.lifecycle.choose_numbers import ChosenNumber, Conflict, choose_numbers, conflict_on_integrity_error
from conversations.lifecycle.cut_cool_down import release_early
from conversations.lifecycle.participants import AlreadyParticipant, SideNumberTaken
from conversations.lifecycle.request import (
    ContentionError,
    NoNumberFree,
    OverLimit,
    ParticipantBlocked,
    ParticipantSpec,
)
from conversations.lifecycle.shortage import record_shortage
from conversations.models import Block, Conversation, Participant
from conversations.trust import limits
from numbers.assignment.choose import Preference, assign_numbers, can_text, sender_countries
from numbers.lookup import store_results
from numbers.models import RealNumber, VirtualNumber
from smsproxy.api.models import ApiKey
from smsproxy.carriers.base import LookupResult
from smsproxy.database.clock import database_now
from smsproxy.phone import canonical

# Conflicts with concurrent requests in a row, after which a person does not join.
MAX_ATTEMPTS = 20


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """A requested participant, whose number has been checked and looked up before anything is locked."""

    spec: ParticipantSpec
    answers: dict[str, LookupResult]


def check_newcomer(spec: ParticipantSpec, conversation: Conversation, *, created_by: ApiKey | None) -> Newcomer:
    """Make the checks that need no lock, and look the number up. Raises CannotCreate or OverLimit.

    Call it outside any transaction: a lookup may use the network.
    """
    check_people([spec], conversation.pool, conversation.service_id)
    is_charged = created_by is not None and not RealNumber.objects.with_number(spec.number).exists()
    if created_by is not None and is_charged and (refusal := limits.refuse_newcomer(conversation.service_id)):
        raise OverLimit(refusal)
    return Newcomer(spec=spec, answers=look_up_phones([spec], conversation.service_id))


def join(newcomer: Newcomer, conversation: Conversation, work: Callable[[], Participant]) -> Participant:
    """Return the participant whom `work` inserts, in a transaction that is tried again after a conflict.

    A shortage of numbers is recorded. Raises ContentionError after MAX_ATTEMPTS conflicts, and what the work raises.
    """
    try:
        for _ in range(MAX_ATTEMPTS):
            with suppress(Conflict), transaction.atomic():
                return work()
    except NoNumberFree as error:
        record_shortage(error, newcomer.spec.number, conversation.policy)
        raise
    raise ContentionError


def lock_newcomer(newcomer: Newcomer, *others: RealNumber) -> tuple[RealNumber, bool]:
    """Return the person's row, locked, and whether it was inserted here. Raises OptedOut, Conflict.

    others: people to lock with them. Call it before the conversation is locked.
    """
    number = newcomer.spec.number
    known = RealNumber.objects.by_number([number])
    RealNumber.objects.lock({person.pk: person for person in (*known.values(), *others)}.values())
    refuse_opted_out([newcomer.spec], known)
    [person], inserted = find_or_insert([newcomer.spec], known)
    store_results({number: person}, newcomer.answers)
    return person, bool(inserted)


def refuse_among(person: RealNumber, members: Sequence[Participant], conversation: Conversation) -> None:
    """Raise AlreadyParticipant, or ParticipantBlocked if staff blocked this person and a member towards each other."""
    for member in members:
        if member.real_number_id == person.pk:
            raise AlreadyParticipant(member.position)
    others = {member.real_number_id: member.position for member in members}
    blocks = Block.objects.active().filter(
        Q(person=person, other__in=others) | Q(other=person, person__in=others),
        Q(service=None) | Q(service=conversation.service_id),
    )
    if block := blocks.first():
        other = block.person_id if block.other_id == person.pk else block.other_id
        raise ParticipantBlocked(0, others.get(other or 0))


def charge_newcomer(created_by: ApiKey | None, *, is_new: bool) -> None:
    """Charge a person whom we did not know. Raises OverLimit. Call it late: others of the service wait."""
    if (
        created_by is not None
        and is_new
        and (refusal := limits.charge_newcomer(created_by.service_id, at=database_now()))
    ):
        raise OverLimit(refusal)


def choose_number(
    spec: ParticipantSpec,
    person: RealNumber,
    members: Sequence[Participant],
    conversation: Conversation,
    *,
    is_new: bool,
    keep: VirtualNumber | None = None,
) -> ChosenNumber:
    """Return the proxy number for this person. Write nothing. Raises CannotCreate, SideNumberTaken.

    A side has one number. Otherwise: the number of `keep`, then one that the person had in this very conversation and
    that still cools down, then the best that assignment finds. members: the other participants.
    """
    cooling = _cooling_pairs_here(person, conversation)
    side = [member for member in members if spec.side and member.side == spec.side]
    if side:
        number = side[0].proxy_number
        is_another_named = spec.proxy_number and canonical(spec.proxy_number) != canonical(number.number)
        chosen = None if is_another_named else _take(number, person, cooling, conversation, Preference.SIDE)
        if chosen is None:
            raise SideNumberTaken
        return chosen
    for number in [*([keep] if keep else []), *(pair.proxy_number for pair in cooling.values())]:
        if spec.proxy_number and canonical(spec.proxy_number) != canonical(number.number):
            continue
        preference = Preference.NAMED if spec.proxy_number else Preference.LAST_USED
        if chosen := _take(number, person, cooling, conversation, preference):
            return chosen
    theirs = {member.proxy_number_id for member in members}
    newcomers = [person] if is_new else []
    service_id: int | None = conversation.service_id
    [chosen] = choose_numbers([spec], [person], newcomers, conversation.policy, beside=theirs, service_id=service_id)
    return chosen


def insert_participant(participant: Participant, chosen: ChosenNumber) -> None:
    """Insert this row, and release the pair whose cool-down it cuts short. Raises Conflict. Then call `count_pair`."""
    before = chosen.cut_short
    if before and before.conversation_id == participant.conversation_id:
        # It cooled down for this very conversation: a late text comes from the same person.
        released = Participant.objects.cooling().filter(pk=before.pk).update(released_at=participant.created_at)
        if released != 1:
            raise Conflict
    elif before and not release_early({before: chosen.why_cut_short}, holding=participant.conversation_id):
        raise Conflict
    with conflict_on_integrity_error():
        participant.save(force_insert=True)


def count_pair(chosen: ChosenNumber, conversation: Conversation) -> None:
    """Count the new pair with its number. Raises Conflict. Call it last: the number stays locked."""
    pairs = {chosen.number.pk: 0 if chosen.cut_short else 1}
    if not VirtualNumber.objects.add_live_pairs(pairs, cap=conversation.policy.cap):
        raise Conflict


def _cooling_pairs_here(person: RealNumber, conversation: Conversation) -> dict[int, Participant]:
    """Return the pairs that this person had in this conversation and that cool down, by number, the newest first."""
    pairs = conversation.participants.cooling().filter(real_number=person, removed_at__isnull=False)
    return {pair.proxy_number_id: pair for pair in pairs.select_related("proxy_number").order_by("-pk")}


def _take(
    number: VirtualNumber,
    person: RealNumber,
    cooling: dict[int, Participant],
    conversation: Conversation,
    preference: Preference,
) -> ChosenNumber | None:
    """Return this number if the person can have it: they had it here before, or it is free. None if not."""
    policy = conversation.policy
    countries = sender_countries(person.country, policy)
    if not can_text(number, person) or (countries and number.country not in countries):
        return None
    if pair := cooling.get(number.pk):
        is_serving = VirtualNumber.objects.serving().filter(pk=number.pk).exists()
        return ChosenNumber(number=number, preference=preference, cut_short=pair) if is_serving else None
    [best] = assign_numbers([person], policy, named={person.pk: number})
    return ChosenNumber(number=number, preference=preference) if best else None

"""The steps that give each person of a new conversation a proxy number, in the transaction that creates it.

They run in this order: choose the numbers, insert the participants, count the pairs.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from django.db import IntegrityError

from conversations.lifecycle.cut_cool_down import oldest_cooling_pair, release_early
from conversations.lifecycle.request import CannotCreate, ParticipantSpec, RequestedNumberTaken
from conversations.lifecycle.reuse_cooling_pair import reusable_pairs
from conversations.lifecycle.shortage import shortage_error, shortage_error_of_side
from conversations.models import Conversation, Participant
from numbers.assignment.choose import Assignment, Preference, can_text
from numbers.assignment.policy import AssignmentPolicy, ExhaustionPolicy
from numbers.assignment.sides import assign_with_sides, members_by_side
from numbers.models import RealNumber, VirtualNumber

USED_UP = "they had used up all numbers"
REUSED_BY_SAME_PAIR = "the same two meet again"


@dataclass(frozen=True, kw_only=True)
class ChosenNumber:
    """The proxy number chosen for one person.

    cut_short: the person's participant row in an ended conversation, whose cool-down is cut short for this one.
    why_cut_short: the reason recorded with that conversation.
    """

    number: VirtualNumber
    preference: Preference
    cut_short: Participant | None = None
    why_cut_short: str = USED_UP


class Conflict(Exception):
    """A concurrent transaction changed a row that this one has read. Roll back and retry."""


@contextmanager
def conflict_on_integrity_error() -> Iterator[None]:
    """Raise Conflict in place of IntegrityError: a concurrent transaction inserted the same row first."""
    try:
        yield
    except IntegrityError:
        raise Conflict from None


def choose_numbers(
    people: Sequence[ParticipantSpec],
    real_numbers: Sequence[RealNumber],
    newcomers: Collection[RealNumber],
    policy: AssignmentPolicy,
    *,
    beside: Collection[int] = (),
    service_id: int | None,
) -> list[ChosenNumber]:
    """Return the best free number for each of these people, in their order. Write nothing. Raises CannotCreate.

    The members of a side get one number. No cool-down is cut short for a side with several.
    newcomers: the rows that this transaction has just inserted. They have no conversations to look up. beside: the ids
    of numbers that others in the conversation have. Other numbers are preferred. service_id: of the conversation.
    """
    policy = replace(policy, service_id=service_id)
    sides = [person.side for person in people]
    teams = members_by_side(real_numbers, sides)
    named = _named(people, real_numbers, teams, policy)
    if not (newcomers or teams) and (again := reusable_pairs(real_numbers, policy, named, service_id=service_id)):
        return [
            ChosenNumber(
                number=pair.proxy_number,
                preference=Preference.NAMED if pair.real_number_id in named else Preference.LAST_USED,
                cut_short=pair,
                why_cut_short=REUSED_BY_SAME_PAIR,
            )
            for pair in again
        ]
    given = Counter(dict.fromkeys(beside, 0))
    best_ones = assign_with_sides(real_numbers, sides, policy, newcomers=newcomers, named=named, given=given)
    chosen = []
    for position, (real_number, best) in enumerate(zip(real_numbers, best_ones, strict=True)):
        ended = None
        wish = named.get(real_number.pk)
        team = teams.get(sides[position])
        if (
            best is None
            and team is None
            and policy.on_exhausted == ExhaustionPolicy.SOFT
            and (ended := oldest_cooling_pair(real_number, policy, wish))
        ):
            best = Assignment(ended.proxy_number, Preference.COOL_DOWN_CUT)
        if best is None and wish is not None:
            raise RequestedNumberTaken(position)
        if best is None and team is not None:
            raise shortage_error_of_side(position, team, policy)
        if best is None:
            raise shortage_error(position, real_number, policy)
        chosen.append(ChosenNumber(number=best.number, preference=best.preference, cut_short=ended))
    return chosen


def add_participants(
    conversation: Conversation,
    people: Sequence[ParticipantSpec],
    real_numbers: Sequence[RealNumber],
    chosen: Sequence[ChosenNumber],
) -> list[Participant]:
    """Insert the participants with their chosen numbers and return them. Raises Conflict.

    Pairs whose cool-down is cut short are released first. If two creators chose the same pair, the constraint
    `one_live_route` lets one of them insert it.
    """
    ended = {each.cut_short: each.why_cut_short for each in chosen if each.cut_short}
    if ended and not release_early(ended):
        raise Conflict
    with conflict_on_integrity_error():
        return Participant.objects.bulk_create(
            Participant(
                conversation=conversation,
                position=position,
                label=person.label,
                side=person.side,
                one_way=person.one_way,
                real_number=real_number,
                proxy_number=each.number,
                chosen_by=each.preference,
                created_at=conversation.created_at,
            )
            for position, (person, real_number, each) in enumerate(zip(people, real_numbers, chosen, strict=True))
        )


def increment_live_counts(chosen: Sequence[ChosenNumber], policy: AssignmentPolicy) -> None:
    """Add the new pairs to the counts of their numbers. Raises Conflict if a number is out of service or full.

    Call it last: these rows stay locked until the transaction ends.
    """
    pairs = Counter(each.number.pk for each in chosen)
    pairs.subtract(each.number.pk for each in chosen if each.cut_short)
    if not VirtualNumber.objects.add_live_pairs(pairs, cap=policy.cap):
        raise Conflict


def _named(
    people: Sequence[ParticipantSpec],
    real_numbers: Sequence[RealNumber],
    teams: Mapping[str, Sequence[RealNumber]],
    policy: AssignmentPolicy,
) -> dict[int, VirtualNumber]:
    """Return the numbers that the request names, by the id of the real number that gets each. Raises CannotCreate.

    A number that is named for one member of a side is named for all of them.
    """
    if not any(person.proxy_number for person in people):
        return {}
    wishes = [person.proxy_number or _wish_of_side(people, person.side, teams) for person in people]
    numbers = VirtualNumber.objects.serving().filter(pool=policy.pool).by_number(filter(None, wishes))
    named: dict[int, VirtualNumber] = {}
    for position, (person, real_number, wish) in enumerate(zip(people, real_numbers, wishes, strict=True)):
        if not wish:
            continue
        number = numbers.get(wish)
        if number is None:
            where = f"in the pool {policy.pool.name}" if policy.pool else "in the common pool"
            raise CannotCreate(
                position, "proxy_number_unknown", f"no such number is in service {where}", field="proxy_number"
            )
        if not can_text(number, real_number):
            raise CannotCreate(
                position,
                "proxy_number_unable",
                f"networks of {real_number.country} reject messages from a number of {number.country}",
                field="proxy_number",
            )
        if any(named.get(member.pk, number) != number for member in teams.get(person.side, ())):
            raise CannotCreate(
                position,
                "side_needs_one_number",
                "is in a side whose members share one virtual number, and another member names another",
                field="proxy_number",
            )
        named[real_number.pk] = number
    return named


def _wish_of_side(people: Sequence[ParticipantSpec], side: str, teams: Mapping[str, Sequence[RealNumber]]) -> str:
    """Return the number that a member of this side names, or ""."""
    if side not in teams:
        return ""
    return next((each.proxy_number for each in people if each.side == side and each.proxy_number), "")

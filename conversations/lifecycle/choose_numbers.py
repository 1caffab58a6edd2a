"""The steps that give each person of a new conversation a proxy number, in the transaction that creates it.

They run in this order: choose the numbers, insert the participants, count the pairs.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import IntegrityError

from conversations.lifecycle.cut_cool_down import cut_short, oldest_cooling
from conversations.lifecycle.request import CannotCreate, NamedNumberTaken, Person
from conversations.lifecycle.reuse_cooling_pair import pairs_to_have_again
from conversations.lifecycle.shortage import no_number_free
from conversations.models import Conversation, Participant
from numbers.assignment.choose import Choice, Preference, best_numbers, can_text
from numbers.assignment.policy import Policy, UsedUp
from numbers.models import RealNumber, VirtualNumber

USED_UP = "they had used up all numbers"
MET_AGAIN = "the same two meet again"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The proxy number chosen for one person.

    cut_short: the person's participant row in an ended conversation, whose cool-down is cut short for this one.
    why_cut_short: the reason recorded with that conversation.
    """

    number: VirtualNumber
    preference: Preference
    cut_short: Participant | None = None
    why_cut_short: str = USED_UP


class Overtaken(Exception):
    """A concurrent transaction changed a row that this one has read. Roll back and retry."""


@contextmanager
def others_may_be_faster() -> Iterator[None]:
    """Raise Overtaken in place of IntegrityError: a concurrent transaction inserted the same row first."""
    try:
        yield
    except IntegrityError:
        raise Overtaken from None


def choose_numbers(
    people: Sequence[Person], real_numbers: Sequence[RealNumber], newcomers: Collection[RealNumber], policy: Policy
) -> list[Chosen]:
    """Return the best free number for each of these people, in their order. Write nothing. Raises CannotCreate.

    newcomers: the rows that this transaction has just inserted. They have no conversations to look up.
    """
    named = _named(people, real_numbers, policy)
    if not newcomers and (again := pairs_to_have_again(real_numbers, policy, named)):
        return [
            Chosen(
                number=pair.proxy_number,
                preference=Preference.NAMED if pair.real_number_id in named else Preference.LAST_USED,
                cut_short=pair,
                why_cut_short=MET_AGAIN,
            )
            for pair in again
        ]
    best_ones = best_numbers(real_numbers, policy, newcomers=newcomers, named=named)
    chosen = []
    for position, (real_number, best) in enumerate(zip(real_numbers, best_ones, strict=True)):
        ended = None
        wish = named.get(real_number.pk)
        if best is None and policy.used_up == UsedUp.SOFT and (ended := oldest_cooling(real_number, policy, wish)):
            best = Choice(ended.proxy_number, Preference.CUT_SHORT)
        if best is None and wish is not None:
            raise NamedNumberTaken(position)
        if best is None:
            raise no_number_free(position, real_number, policy)
        chosen.append(Chosen(number=best.number, preference=best.preference, cut_short=ended))
    return chosen


def join(
    conversation: Conversation, people: Sequence[Person], real_numbers: Sequence[RealNumber], chosen: Sequence[Chosen]
) -> list[Participant]:
    """Insert the participants with their chosen numbers and return them. Raises Overtaken.

    Pairs whose cool-down is cut short are released first. If two creators chose the same pair, the constraint
    `one_live_route` lets one of them insert it.
    """
    ended = {each.cut_short: each.why_cut_short for each in chosen if each.cut_short}
    if ended and not cut_short(ended):
        raise Overtaken
    with others_may_be_faster():
        return Participant.objects.bulk_create(
            Participant(
                conversation=conversation,
                position=position,
                label=person.label,
                real_number=real_number,
                proxy_number=each.number,
                chosen_by=each.preference,
            )
            for position, (person, real_number, each) in enumerate(zip(people, real_numbers, chosen, strict=True))
        )


def count_pairs(chosen: Sequence[Chosen], policy: Policy) -> None:
    """Add the new pairs to the counts of their numbers. Raises Overtaken if a number is out of service or full.

    Call it last: these rows stay locked until the transaction ends.
    """
    pairs = Counter(each.number.pk for each in chosen)
    pairs.subtract(each.number.pk for each in chosen if each.cut_short)
    if not VirtualNumber.objects.give(pairs, cap=policy.cap):
        raise Overtaken


def _named(people: Sequence[Person], real_numbers: Sequence[RealNumber], policy: Policy) -> dict[int, VirtualNumber]:
    """Return the numbers that the request names, by the id of the real number that gets each. Raises CannotCreate."""
    wishes = [person.proxy_number for person in people if person.proxy_number]
    if not wishes:
        return {}
    numbers = VirtualNumber.objects.serving().filter(pool=policy.pool).in_bulk(wishes, field_name="number")
    named = {}
    for position, (person, real_number) in enumerate(zip(people, real_numbers, strict=True)):
        if not person.proxy_number:
            continue
        number = numbers.get(person.proxy_number)
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
        named[real_number.pk] = number
    return named

"""Which virtual numbers the people of a conversation get.

Each participant gets a proxy number of their own, whatever the other side gets, so a pool needs only as many numbers as
its busiest person has live conversations. The order of preference is here; that a pair is never live twice is the
database's word (`one_live_route`), which the caller runs into and then asks again.

The pool is asked group by group, the best first, and each question is answered by the first rows of an index: so a
number is found as soon in a pool of ten thousand as in one of ten.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache

from django.db.models import Q

from numbers import usage
from numbers.assignment.policy import Geography, Policy, Stickiness
from numbers.models import RealNumber, VirtualNumber
from numbers.models.virtual_number import REQUIRED_SENDER_COUNTRIES, VirtualNumberQuerySet

# So many rows are read at a time. Not fewer than people can be in a conversation.
_FEW = 10


class Preference(StrEnum):
    """Why somebody got this number of all: the first of these that there was a free one for."""

    NAMED = "named"
    """The request named it."""
    LAST_USED = "last used"
    """They had it with the same counterpart before."""
    OWN_AREA = "own area"
    OWN_REGION = "own region"
    """Of their state or province, in North America."""
    OWN_COUNTRY = "own country"
    OTHER_COUNTRY = "other country"
    ANY = "any"
    """The policy is `any`: countries do not matter."""
    CUT_SHORT = "cut short"
    """They had used up all numbers: the cool-down of one of theirs was cut short (NUMBERS_USED_UP=soft)."""
    REPLACEMENT = "replacement"
    """For another number, by `manage.py replace_number`."""


@dataclass(frozen=True)
class Choice:
    number: VirtualNumber
    preference: Preference


@dataclass(frozen=True, kw_only=True)
class Need:
    """Why no number is free for somebody. able: the numbers that can serve them. in_use: those they have already.

    full: those that have as many live participants as a number may. next_release_at: when the next of theirs has cooled
    down; None: none is about to.
    """

    able: int
    in_use: int
    full: int
    next_release_at: datetime | None

    @property
    def needed(self) -> int:
        """How many numbers that can serve them there would have to be."""
        return self.able + 1


def best_numbers(
    people: Sequence[RealNumber],
    policy: Policy,
    *,
    newcomers: Collection[RealNumber] = (),
    named: Mapping[int, VirtualNumber] | None = None,
    given: Counter[int] | None = None,
) -> list[Choice | None]:
    """The number that each of these people should get in a new conversation, in their order; None: none is free.

    Best is: the one that they last used with the same counterpart, then one of the person's own area, their state or
    province, their country, then one that none of the others in the conversation has, then the least busy.

    newcomers: those of them of whom nothing needs to be looked up, since they had no conversation yet. named: by the id
    of a person, the one number that they shall have, and no other. given: how many have each number, by id, besides
    those that are counted on it; those of these people are added.
    """
    known = [person for person in people if person not in newcomers]
    taken = usage.taken_numbers(known)
    # Two people keep the numbers that they had with each other; a group has none to keep.
    last_used = usage.last_numbers_together(*known) if len(known) == len(people) == 2 else {}
    candidates = _with_room(VirtualNumber.objects.assignable(), policy)
    first_of = cache(lambda group: _least_busy(candidates.filter(group)))
    given = Counter() if given is None else given
    # First, or the last place on one of them could go to somebody who would do as well with another.
    wishes = {pk: _as_named(wish, policy, taken[pk], given) for pk, wish in (named or {}).items()}

    def serve(in_turn: Iterable[RealNumber]) -> tuple[dict[int, Choice | None], Counter[int]]:
        found, now_given = dict(wishes), given.copy()
        for person in in_turn:
            if person.pk not in wishes:
                last = last_used.get(person.pk)
                groups = _groups(person, policy, last_used=None if last in taken[person.pk] else last)
                best = _best(person, policy, groups, candidates, first_of, taken[person.pk], now_given)
                found[person.pk] = best
                now_given.update([best.number.pk] if best else [])
        return found, now_given

    in_turn = list(people)
    first = served = serve(in_turn)
    for _ in people if policy.cap else ():
        left_out = next((person for person in in_turn if served[0][person.pk] is None), None)
        if left_out is None or left_out is in_turn[0]:
            break
        # Somebody before them took the last place on the only number for them, and may do as well with another.
        in_turn = [left_out, *(person for person in in_turn if person is not left_out)]
        served = serve(in_turn)
    found, now_given = first if None in served[0].values() else served
    given.update(now_given - given)
    return [found[person.pk] for person in people]


def need_of(person: RealNumber, policy: Policy) -> Need:
    """How far the numbers that can serve this person are used up."""
    able = serving(person, policy)
    pairs = usage.live_pairs_of_person(person, able)
    return Need(
        able=able.count(),
        in_use=pairs.total,
        full=able.filter(live__gte=policy.cap).count() if policy.cap else 0,
        next_release_at=pairs.first_release_at,
    )


def serving(person: RealNumber, policy: Policy) -> VirtualNumberQuerySet:
    """The numbers that can text this person's phone and may be given to them, free or not."""
    return VirtualNumber.objects.assignable().filter(_allowed(person, policy))


def can_text(number: VirtualNumber, person: RealNumber) -> bool:
    """Do the networks of the person's country take texts from this number?"""
    required = REQUIRED_SENDER_COUNTRIES.get(person.country)
    return required is None or number.country in required


def sender_countries(country: str, policy: Policy) -> tuple[str, ...]:
    """The countries of which a number for a phone of this country must be; empty: any."""
    required = REQUIRED_SENDER_COUNTRIES.get(country, ())
    return (country,) if policy.geography == Geography.SAME_COUNTRY else required


def _allowed(person: RealNumber, policy: Policy) -> Q:
    countries = sender_countries(person.country, policy)
    of_pool = Q(pool=policy.pool) if policy.pool else Q(pool__isnull=True)
    return of_pool & Q(country__in=countries) if countries else of_pool


def _with_room(numbers: VirtualNumberQuerySet, policy: Policy) -> VirtualNumberQuerySet:
    return numbers.filter(live__lt=policy.cap) if policy.cap else numbers


def _has_room(number: VirtualNumber, policy: Policy, given: Counter[int]) -> bool:
    """For one more, besides those who get it in the same conversation."""
    return policy.cap is None or number.live + given[number.pk] < policy.cap


def _groups(person: RealNumber, policy: Policy, *, last_used: int | None) -> Iterator[tuple[Preference, Q]]:
    """The numbers that this person may have, the better first. A group may hold those of the groups before it."""
    allowed = _allowed(person, policy)
    is_sticky = policy.stickiness == Stickiness.STICKY
    if last_used is not None and is_sticky:
        yield Preference.LAST_USED, allowed & Q(pk=last_used)
    others = Q() if last_used is None or is_sticky else ~Q(pk=last_used)
    for preference, places in _places(person, policy):
        yield preference, allowed & places & others
    if others:
        yield Preference.LAST_USED, allowed & Q(pk=last_used)


def _places(person: RealNumber, policy: Policy) -> Iterator[tuple[Preference, Q]]:
    if policy.geography == Geography.ANY:
        yield Preference.ANY, Q()
        return
    own_country = Q(country=person.country)
    if person.area:
        yield Preference.OWN_AREA, own_country & Q(area=person.area)
    if person.region:
        yield Preference.OWN_REGION, own_country & Q(region=person.region)
    yield Preference.OWN_COUNTRY, own_country
    if policy.geography == Geography.PREFER:
        yield Preference.OTHER_COUNTRY, Q()


def _as_named(wish: VirtualNumber, policy: Policy, taken: set[int], given: Counter[int]) -> Choice | None:
    now = VirtualNumber.objects.serving().filter(pk=wish.pk).first()
    if now is None or now.pk in taken or not _has_room(now, policy, given):
        return None
    given[now.pk] += 1
    return Choice(wish, Preference.NAMED)


def _best(
    person: RealNumber,
    policy: Policy,
    groups: Iterable[tuple[Preference, Q]],
    candidates: VirtualNumberQuerySet,
    first_of: Callable[[Q], list[VirtualNumber]],
    taken: set[int],
    given: Counter[int],
) -> Choice | None:
    """taken: the numbers that this person has in other conversations; given: how many have each in this one."""
    for preference, group in groups:
        first = first_of(group)
        if few := [number for number in first if number.pk not in taken and number.pk not in given]:
            return Choice(_any_of_the_least_busy(few), preference)
        free = usage.free_for(person, candidates.filter(group))
        # What is not among the first rows, for somebody who has very many conversations.
        if len(first) == _FEW and (few := _least_busy(free.exclude(pk__in=given))):
            return Choice(_any_of_the_least_busy(few), preference)
        if shared := [each for each in _least_busy(free.filter(pk__in=given)) if _has_room(each, policy, given)]:
            return Choice(min(shared, key=lambda number: given[number.pk]), preference)
    return None


def _least_busy(numbers: VirtualNumberQuerySet) -> list[VirtualNumber]:
    return list(numbers.least_busy_first()[:_FEW])


def _any_of_the_least_busy(numbers: Sequence[VirtualNumber]) -> VirtualNumber:
    """One of those that are about as busy: people who come at the same moment do not all wait for the same row."""
    least = numbers[0].live
    return secrets.choice([number for number in numbers if number.live <= least + least // 20])

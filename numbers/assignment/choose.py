"""Choose virtual numbers for the people of a conversation.

Each participant's proxy number is chosen independently of the other side. So a pool needs only as many numbers as its
busiest person has live conversations. This module has the order of preference. The database constraint
`one_live_route` keeps a pair from being live twice: on a conflict the caller asks again.

The pool is queried group by group, the best group first. Each query reads the first rows of an index, so the cost
does not grow with the pool.
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
from numbers.assignment.policy import AssignmentPolicy, Geography, Stickiness
from numbers.models import RealNumber, VirtualNumber
from numbers.models.virtual_number import REQUIRED_SENDER_COUNTRIES, VirtualNumberQuerySet

# Rows read by each query. At least the maximum number of participants in a conversation.
_CANDIDATES = 10


class Preference(StrEnum):
    """The reason why a person got this number. The first reason with a free number wins."""

    NAMED = "named"
    """The request named it."""
    LAST_USED = "last used"
    """They had it before in a conversation with the same counterpart."""
    OWN_AREA = "own area"
    OWN_REGION = "own region"
    """From their state or province, in North America."""
    OWN_COUNTRY = "own country"
    OTHER_COUNTRY = "other country"
    ANY = "any"
    """The policy `any` ignores countries."""
    COOL_DOWN_CUT = "cut short"
    """No number was free, so the cool-down of one of their pairs was cut short (ON_EXHAUSTED=soft)."""
    SIDE = "side"
    """The other members of their side have it."""
    REPLACEMENT = "replacement"
    """It replaces another number, by `manage.py replace_number`."""


@dataclass(frozen=True)
class Assignment:
    """A number for one person, and the reason for it."""

    number: VirtualNumber
    preference: Preference


@dataclass(frozen=True, kw_only=True)
class NumberDemand:
    """The demand of one person, which explains a shortage.

    able: numbers that can serve them, free or not. in_use: numbers among these that are in their live pairs. full:
    numbers among these at their cap. next_release_at: when their next cooling pair is released; None if none cools.
    """

    able: int
    in_use: int
    full: int
    next_release_at: datetime | None

    @property
    def needed(self) -> int:
        """The count of eligible numbers that would be enough for one more conversation."""
        return self.able + 1


def assign_numbers(
    people: Sequence[RealNumber],
    policy: AssignmentPolicy,
    *,
    newcomers: Collection[RealNumber] = (),
    named: Mapping[int, VirtualNumber] | None = None,
    given: Counter[int] | None = None,
) -> list[Assignment | None]:
    """Return the number that each of these people should get in a new conversation, in order; None if none is free.

    The order of preference: the number last used with the same counterpart, then one of the person's area, of their
    state or province, of their country. Within a group: one that nobody else in the conversation has, then the least
    busy.

    newcomers: people without any conversation, for whom nothing is looked up. named: by the id of a person, the only
    number that they may get. given: by the id of a number, people who are to get it and are not yet in its count. The
    numbers returned are added to it.
    """
    known = [person for person in people if person not in newcomers]
    taken = usage.taken_numbers(known)
    # Only a conversation of two reuses numbers: a group has no single counterpart.
    reuses = len(known) == len(people) == 2
    last_used = usage.last_numbers_together(*known, service_id=policy.service_id) if reuses else {}
    candidates = with_room(VirtualNumber.objects.assignable(), policy)
    first_of = cache(lambda group: least_busy(candidates.filter(group)))
    given = Counter() if given is None else given
    # Named numbers come first: another person could take the last place on one, and has alternatives.
    wishes = {pk: requested_number(wish, policy, taken[pk], given) for pk, wish in (named or {}).items()}

    def serve(in_turn: Iterable[RealNumber]) -> tuple[dict[int, Assignment | None], Counter[int]]:
        found, now_given = dict(wishes), given.copy()
        for person in in_turn:
            if person.pk not in wishes:
                last = last_used.get(person.pk)
                groups = _preference_order(person, policy, last_used=None if last in taken[person.pk] else last)
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
        # A person earlier in the order took the last place on their only number, and may have alternatives.
        in_turn = [left_out, *(person for person in in_turn if person is not left_out)]
        served = serve(in_turn)
    found, now_given = first if None in served[0].values() else served
    given.update(now_given - given)
    return [found[person.pk] for person in people]


def demand_of(person: RealNumber, policy: AssignmentPolicy) -> NumberDemand:
    """Return how many numbers can serve this person, and how many of these are taken or full."""
    able = eligible_numbers(person, policy)
    pairs = usage.live_pairs_of_person(person, able)
    return NumberDemand(
        able=able.count(),
        in_use=pairs.total,
        full=able.filter(live_pair_count__gte=policy.cap).count() if policy.cap else 0,
        next_release_at=pairs.first_release_at,
    )


def eligible_numbers(person: RealNumber, policy: AssignmentPolicy) -> VirtualNumberQuerySet:
    """Return the numbers that can text this person and may be given to them, free or not."""
    return VirtualNumber.objects.assignable().filter(allowed_for(person, policy))


def can_text(number: VirtualNumber, person: RealNumber) -> bool:
    """Return whether networks of the person's country accept messages from this number."""
    required = REQUIRED_SENDER_COUNTRIES.get(person.country)
    return required is None or number.country in required


def sender_countries(country: str, policy: AssignmentPolicy) -> tuple[str, ...]:
    """Return the countries from which a number for a phone of this country must come; empty for any."""
    required = REQUIRED_SENDER_COUNTRIES.get(country, ())
    return (country,) if policy.geography == Geography.SAME_COUNTRY else required


def allowed_for(person: RealNumber, policy: AssignmentPolicy) -> Q:
    countries = sender_countries(person.country, policy)
    of_pool = Q(pool=policy.pool) if policy.pool else Q(pool__isnull=True)
    return of_pool & Q(country__in=countries) if countries else of_pool


def with_room(numbers: VirtualNumberQuerySet, policy: AssignmentPolicy, *, places: int = 1) -> VirtualNumberQuerySet:
    """Return those of these numbers that have room for this number of people."""
    return numbers.filter(live_pair_count__lte=policy.cap - places) if policy.cap else numbers


def has_room(number: VirtualNumber, policy: AssignmentPolicy, given: Counter[int], *, places: int = 1) -> bool:
    """Return whether this number of people fits, besides those who get it in the same conversation."""
    return policy.cap is None or number.live_pair_count + given[number.pk] + places <= policy.cap


def _preference_order(
    person: RealNumber, policy: AssignmentPolicy, *, last_used: int | None
) -> Iterator[tuple[Preference, Q]]:
    """Yield groups of numbers that this person may have, the best first. A group may contain earlier groups."""
    allowed = allowed_for(person, policy)
    is_sticky = policy.stickiness == Stickiness.STICKY
    if last_used is not None and is_sticky:
        yield Preference.LAST_USED, allowed & Q(pk=last_used)
    others = Q() if last_used is None or is_sticky else ~Q(pk=last_used)
    for preference, places in place_groups(person, policy):
        yield preference, allowed & places & others
    if others:
        yield Preference.LAST_USED, allowed & Q(pk=last_used)


def place_groups(person: RealNumber, policy: AssignmentPolicy) -> Iterator[tuple[Preference, Q]]:
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


def requested_number(
    wish: VirtualNumber, policy: AssignmentPolicy, taken: set[int], given: Counter[int], *, places: int = 1
) -> Assignment | None:
    """Return the number that a request names if it is free, and count its places as given."""
    now = VirtualNumber.objects.serving().filter(pk=wish.pk).first()
    if now is None or now.pk in taken or not has_room(now, policy, given, places=places):
        return None
    given[now.pk] += places
    return Assignment(wish, Preference.NAMED)


def _best(
    person: RealNumber,
    policy: AssignmentPolicy,
    groups: Iterable[tuple[Preference, Q]],
    candidates: VirtualNumberQuerySet,
    first_of: Callable[[Q], list[VirtualNumber]],
    taken: set[int],
    given: Counter[int],
) -> Assignment | None:
    """Return the best free number for this person, or None.

    taken: numbers in their live pairs. given: by the id of a number, people who get it in this conversation.
    """
    for preference, group in groups:
        first = first_of(group)
        if few := [number for number in first if number.pk not in taken and number.pk not in given]:
            return Assignment(any_of_the_least_busy(few), preference)
        free = usage.free_for(person, candidates.filter(group))
        # A person with many conversations may have every number among the first rows: ask the database for others.
        if len(first) == _CANDIDATES and (few := least_busy(free.exclude(pk__in=given))):
            return Assignment(any_of_the_least_busy(few), preference)
        if shared := [each for each in least_busy(free.filter(pk__in=given)) if has_room(each, policy, given)]:
            return Assignment(min(shared, key=lambda number: given[number.pk]), preference)
    return None


def least_busy(numbers: VirtualNumberQuerySet) -> list[VirtualNumber]:
    return list(numbers.least_busy_first()[:_CANDIDATES])


def any_of_the_least_busy(numbers: Sequence[VirtualNumber]) -> VirtualNumber:
    """Return a random one of those about as busy as the first, so that concurrent creators lock different rows."""
    least = numbers[0].live_pair_count
    return secrets.choice([number for number in numbers if number.live_pair_count <= least + least // 20])

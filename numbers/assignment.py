"""Which virtual numbers the people of a conversation get.

Each participant gets a proxy number of their own, whatever the other side gets, so the pool needs only as many numbers
as the busiest person has live conversations. The order of preference is here; that a pair is never live twice is the
database's word (`one_live_route`), which the caller runs into and then asks again.

The pool is asked group by group, the best first, and each question is answered by the first rows of an index: so a
number is found as soon in a pool of ten thousand as in one of ten.
"""

import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache

from django.conf import settings
from django.db.models import F, Q

from numbers.models import RealNumber, VirtualNumber
from numbers.models.virtual import REQUIRED_SENDER_COUNTRIES, VirtualNumberQuerySet

# So many rows are read at a time. Not fewer than people can be in a conversation.
_FEW = 10


def best_numbers(
    people: Sequence[RealNumber], *, newcomers: Collection[RealNumber] = ()
) -> Iterator[VirtualNumber | None]:
    """The number that each of these people should get in a new conversation, in their order; None: none is free.

    Best is: the one that they last used with the same counterpart, then one of the person's own country, then of their
    own area, then one that few of the others in the conversation have, then the one given out longest ago.

    newcomers: those of them of whom nothing needs to be looked up, since they had no conversation yet.
    """
    known = [person for person in people if person not in newcomers]
    taken = _taken(known)
    # Two people keep the numbers that they had with each other; a group has none to keep.
    last_used = _last_used(*known) if len(known) == len(people) == 2 else {}
    first_of = cache(lambda group: _longest_unused(VirtualNumber.objects.assignable().filter(group)))
    given: Counter[int] = Counter()
    for person in people:
        last = last_used.get(person.pk)
        groups = _groups(person, last_used=None if last in taken[person.pk] else last)
        best = _best(person, groups, first_of, taken[person.pk], given)
        if best is not None:
            given[best.pk] += 1
        yield best


def serving(person: RealNumber) -> VirtualNumberQuerySet:
    """The active numbers that can text this person's phone and may be given to them, free or not."""
    return VirtualNumber.objects.assignable().filter(_allowed(person))


def sender_countries(country: str) -> tuple[str, ...]:
    """The countries of which a number for a phone of this country must be; empty: any."""
    required = REQUIRED_SENDER_COUNTRIES.get(country, ())
    return (country,) if settings.NUMBER_GEOGRAPHY == "same-country" else required


def _allowed(person: RealNumber) -> Q:
    countries = sender_countries(person.country)
    return Q(country__in=countries) if countries else Q()


def _groups(person: RealNumber, *, last_used: int | None) -> Iterator[Q]:
    """The numbers that this person may have, the better first. A group may hold those of the groups before it."""
    allowed = _allowed(person)
    if last_used is not None:
        yield allowed & Q(pk=last_used)
    if settings.NUMBER_GEOGRAPHY != "any":
        own_country, area = Q(country=person.country), person.area
        if area:
            yield own_country & Q(area=area)
        yield own_country
        if area:
            yield allowed & Q(area=area)
    yield allowed


def _best(
    person: RealNumber,
    groups: Iterable[Q],
    first_of: Callable[[Q], list[VirtualNumber]],
    taken: set[int],
    given: Counter[int],
) -> VirtualNumber | None:
    """taken: the numbers that this person has in other conversations; given: how many have each in this one."""
    for group in groups:
        first = first_of(group)
        if few := [number for number in first if number.pk not in taken and number.pk not in given]:
            return _any_of_the_first(few)
        free = VirtualNumber.objects.assignable().filter(group).free_for(person)
        # What is not among the first rows, for somebody who has very many conversations.
        if len(first) == _FEW and (few := _longest_unused(free.exclude(pk__in=given))):
            return _any_of_the_first(few)
        if shared := _longest_unused(free.filter(pk__in=given)):
            return min(shared, key=lambda number: given[number.pk])
    return None


def _longest_unused(numbers: VirtualNumberQuerySet) -> list[VirtualNumber]:
    return list(numbers.longest_unused_first()[:_FEW])


def _any_of_the_first(numbers: Sequence[VirtualNumber]) -> VirtualNumber:
    """One of those that were never given out: people who come at the same moment do not all get the same one."""
    return secrets.choice([number for number in numbers if number.last_assigned_at == numbers[0].last_assigned_at])


def _taken(people: Sequence[RealNumber]) -> defaultdict[int, set[int]]:
    """The numbers that each of these people has in other conversations, open or cooling down."""
    taken = defaultdict(set)
    if people:
        pairs = people[0].participants.model.objects.unreleased().filter(real_number__in=people)
        for person, number in pairs.values_list("real_number", "proxy_number"):
            taken[person].add(number)
    return taken


def _last_used(one: RealNumber, other: RealNumber) -> dict[int, int]:
    """The numbers that these two had in the last conversation that both were in."""
    together = one.participants.filter(conversation__participants__real_number=other).order_by("-pk")
    numbers = together.values_list("proxy_number", F("conversation__participants__proxy_number")).first()
    return dict(zip((one.pk, other.pk), numbers, strict=True)) if numbers else {}

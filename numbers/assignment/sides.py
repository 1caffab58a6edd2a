"""Choose one number for all phones of a side: a team behind one proxy number.

The number must be free for each member, and able to text each. It gets a live pair with each of them, so it needs a
place for each. A side with one member is served like a person without a side.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from django.db.models import Q

from numbers import usage
from numbers.assignment.choose import (
    Assignment,
    NumberDemand,
    allowed_for,
    any_of_the_least_busy,
    assign_numbers,
    has_room,
    least_busy,
    place_groups,
    requested_number,
    with_room,
)
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import RealNumber, VirtualNumber
from numbers.models.virtual_number import VirtualNumberQuerySet

_Step = Callable[[Counter[int]], dict[int, Assignment | None]]


def members_by_side(people: Sequence[RealNumber], sides: Sequence[str]) -> Mapping[str, Sequence[RealNumber]]:
    """Return the members of each side that has several. sides: of these people, in order; "" for none."""
    members = defaultdict(list)
    for person, side in zip(people, sides, strict=True):
        if side:
            members[side].append(person)
    return {side: theirs for side, theirs in members.items() if len(theirs) > 1}


def assign_with_sides(
    people: Sequence[RealNumber],
    sides: Sequence[str],
    policy: AssignmentPolicy,
    *,
    newcomers: Collection[RealNumber] = (),
    named: Mapping[int, VirtualNumber] | None = None,
    given: Counter[int] | None = None,
) -> list[Assignment | None]:
    """Return the number of each of these people, in order; None if none is free. See `assign_numbers`.

    named: the same number for all members of a side, or none for all.
    """
    teams = list(members_by_side(people, sides).values())
    given = Counter() if given is None else given
    named = named or {}
    if not teams:
        return assign_numbers(people, policy, newcomers=newcomers, named=named, given=given)
    in_teams = {person.pk for team in teams for person in team}
    alone = [person for person in people if person.pk not in in_teams]

    def serve_teams(given: Counter[int]) -> dict[int, Assignment | None]:
        best = [(team, _assign_to_all(team, policy, newcomers, named.get(team[0].pk), given)) for team in teams]
        return {person.pk: number for team, number in best for person in team}

    def serve_alone(given: Counter[int]) -> dict[int, Assignment | None]:
        wishes = {person.pk: named[person.pk] for person in alone if person.pk in named}
        theirs = assign_numbers(alone, policy, newcomers=newcomers, named=wishes, given=given)
        return dict(zip((person.pk for person in alone), theirs, strict=True))

    def serve(*in_turn: _Step) -> tuple[dict[int, Assignment | None], Counter[int]]:
        found: dict[int, Assignment | None] = {}
        now_given = given.copy()
        for step in in_turn:
            found |= step(now_given)
        return found, now_given

    first = served = serve(serve_teams, serve_alone)
    if None in first[0].values() and policy.cap:
        # A side took the last places on the only number of somebody, and may have alternatives.
        served = serve(serve_alone, serve_teams)
    found, now_given = first if None in served[0].values() else served
    given.update(now_given - given)
    return [found[person.pk] for person in people]


def demand_of_side(members: Sequence[RealNumber], policy: AssignmentPolicy) -> NumberDemand:
    """Return how many numbers can serve all of these people, and how many of these one of them has already."""
    able = VirtualNumber.objects.assignable().filter(*(allowed_for(person, policy) for person in members))
    count = able.count()
    releases = [usage.live_pairs_of_person(person, able).first_release_at for person in members]
    return NumberDemand(
        able=count,
        in_use=count - _free_for_all(members, able).count(),
        full=able.exclude(pk__in=with_room(able, policy, places=len(members)).values("pk")).count(),
        next_release_at=min((at for at in releases if at is not None), default=None),
    )


def _assign_to_all(
    members: Sequence[RealNumber],
    policy: AssignmentPolicy,
    newcomers: Collection[RealNumber],
    wish: VirtualNumber | None,
    given: Counter[int],
) -> Assignment | None:
    """Return the best number that is free for all of these people, and count their places as given."""
    places = len(members)
    known = [person for person in members if person not in newcomers]
    if wish is not None:
        taken = set().union(*usage.taken_numbers(known).values())
        return requested_number(wish, policy, taken, given, places=places)
    numbers = with_room(VirtualNumber.objects.assignable(), policy, places=places)
    free = _free_for_all(known, numbers.filter(*(allowed_for(person, policy) for person in members)))
    for preference, group in place_groups(members[0], policy):
        # Rather a number that nobody outside the side has in this conversation.
        for of_others in (~Q(pk__in=given), Q(pk__in=given)):
            few = [
                each
                for each in least_busy(free.filter(group, of_others))
                if has_room(each, policy, given, places=places)
            ]
            if few:
                best = any_of_the_least_busy(few)
                given[best.pk] += places
                return Assignment(best, preference)
    return None


def _free_for_all(people: Sequence[RealNumber], numbers: VirtualNumberQuerySet) -> VirtualNumberQuerySet:
    for person in people:
        numbers = usage.free_for(person, numbers)
    return numbers

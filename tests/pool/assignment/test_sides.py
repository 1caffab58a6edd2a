"""The numbers of sides, compared with a simple model for any people, pairs and caps."""

from collections import Counter, defaultdict

import pytest
from django.db import transaction
from hypothesis import event, given
from hypothesis import strategies as st

from conversations.models import Conversation, Participant
from numbers.assignment.policy import AssignmentPolicy
from numbers.assignment.sides import assign_with_sides, demand_of_side
from numbers.models import RealNumber, VirtualNumber
from tests.support.builders import add_numbers
from tests.support.hypothesis_profiles import examples

pytestmark = pytest.mark.django_db

POOL = 4
PEOPLE = [f"+44770090000{index}" for index in range(5)]
# Pairs that are live in other conversations: a person, and the place of the number in the pool.
PAIRS = st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(0, POOL - 1)), max_size=9, unique=True)
SIDES = st.lists(st.sampled_from(["", "shop", "fleet"]), min_size=len(PEOPLE), max_size=len(PEOPLE))


def assign(pairs, sides, cap=None):
    """Return the place of the number of each person in the pool, or None, with these pairs live before."""
    numbers = add_numbers(POOL)
    people = RealNumber.objects.get_or_create_many(PEOPLE)
    for person, place in pairs:
        talk = Conversation.objects.create()
        Participant.objects.create(
            conversation=talk, position=0, real_number=people[person], proxy_number=numbers[place]
        )
    for place, count in Counter(place for _, place in pairs).items():
        VirtualNumber.objects.filter(pk=numbers[place].pk).update(live_pair_count=count)
    rows = [people[person] for person in PEOPLE]
    found = assign_with_sides(rows, sides, AssignmentPolicy())
    return [each and numbers.index(each.number) for each in found]


def units_of(sides):
    """Return the people who need one number together: each side, and each person without one."""
    together = defaultdict(list)
    for person, side in zip(PEOPLE, sides, strict=True):
        together[side or person].append(person)
    return list(together.values())


@examples(fast=40, thorough=200)
@given(pairs=PAIRS, sides=SIDES)
def test_a_side_gets_one_number_exactly_if_one_is_free_for_all_its_members(pairs, sides):
    with transaction.atomic():
        given_to = dict(zip(PEOPLE, assign(pairs, sides), strict=True))
        transaction.set_rollback(True)

    for unit in units_of(sides):
        free = set(range(POOL)) - {place for person, place in pairs if person in unit}
        [place] = {given_to[person] for person in unit}
        event(f"a side of {len(unit)}, {'served' if free else 'without a number'}")
        assert place in free if free else place is None


@examples(fast=40, thorough=200)
@given(pairs=PAIRS, sides=SIDES, cap=st.integers(1, 4))
def test_no_number_has_more_people_than_its_cap_and_nobody_has_one_twice(settings, pairs, sides, cap):
    settings.NUMBER_CAP = cap
    with transaction.atomic():
        given_to = dict(zip(PEOPLE, assign(pairs, sides), strict=True))
        transaction.set_rollback(True)

    new = [(person, place) for person, place in given_to.items() if place is not None]
    before = Counter(place for _, place in pairs)
    for place, added in Counter(place for _, place in new).items():
        assert before[place] + added <= cap
    assert not {*new} & {*pairs}
    for unit in units_of(sides):
        assert len({given_to[person] for person in unit}) == 1


def test_the_demand_of_a_side_counts_numbers_that_all_its_members_can_have(settings):
    settings.NUMBER_CAP = 3
    assign([(PEOPLE[0], 0), (PEOPLE[1], 1), (PEOPLE[2], 2), (PEOPLE[3], 2)], [""] * 5)
    people = RealNumber.objects.by_number(PEOPLE)

    need = demand_of_side([people[PEOPLE[0]], people[PEOPLE[1]]], AssignmentPolicy())

    assert (need.able, need.in_use, need.full) == (POOL, 2, 1)

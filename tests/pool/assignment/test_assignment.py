"""The choice of a proxy number for each person."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import NoNumberFree, ParticipantSpec
from conversations.models import Conversation, Participant
from numbers.assignment.choose import assign_numbers, sender_countries
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import Feature
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.hypothesis_profiles import examples

pytestmark = pytest.mark.django_db

NEW_YORKER = "+12125550101"
CANADIAN = "+14165550101"


def person(number):
    return RealNumber.objects.get_or_create_many([number])[number]


def best_for(number):
    [best] = assign_numbers([person(number)], AssignmentPolicy())
    return best and best.number.number


def test_the_database_itself_refuses_a_second_live_pair():
    """Rule 1: one real number and one virtual number identify at most one live conversation."""
    add_numbers(1)
    alice, _ = members(talk(ALICE, BOB))

    with pytest.raises(IntegrityError, match=r"one_live_route|real_number_id"):
        Participant.objects.create(
            conversation=Conversation.objects.create(),
            position=0,
            real_number=alice.real_number,
            proxy_number=alice.proxy_number,
        )


def test_one_pool_of_two_numbers_serves_any_number_of_pairs_of_people():
    add_numbers(2)

    for index in range(20):
        talk(f"+4477007{index:05}", f"+4477008{index:05}")

    assert Participant.objects.unreleased().count() == 40


def test_numbers_of_the_person_s_country_come_first():
    add_numbers(2, "FR", start="+33700000")
    [british] = add_numbers(1)

    assert best_for(ALICE) == british.number
    talk(ALICE, BOB)
    assert best_for(ALICE).startswith("+33")


def test_geography_same_country_excludes_numbers_of_other_countries(settings):
    settings.NUMBER_GEOGRAPHY = "same-country"
    add_numbers(2, "FR", start="+33700000")

    assert best_for(ALICE) is None
    with pytest.raises(NoNumberFree):
        talk(ALICE, BOB)


def test_geography_any_prefers_no_country(settings):
    settings.NUMBER_GEOGRAPHY = "any"
    french = add_numbers(1, "FR", start="+33700000")[0]
    add_numbers(1)
    VirtualNumber.objects.filter(country="GB").update(live_pair_count=1)

    assert best_for(ALICE) == french.number


def test_numbers_of_the_person_s_area_come_before_the_rest_of_the_country():
    add_numbers(3, "US", start="+13105550")
    [new_york] = add_numbers(1, "US", start="+12125550")

    assert best_for(NEW_YORKER) == new_york.number


def test_a_north_american_phone_gets_only_north_american_numbers():
    add_numbers(2)
    add_numbers(1, "US", start="+13105550")

    assert best_for(NEW_YORKER) == best_for(CANADIAN) == "+1310555000"
    talk(NEW_YORKER, CANADIAN)
    assert best_for(NEW_YORKER) is best_for(CANADIAN) is None


def test_a_number_that_cannot_text_is_never_chosen():
    add_numbers(2)
    VirtualNumber.objects.update(can_sms=False)

    assert best_for(ALICE) is None


@pytest.mark.parametrize("state", [state for state in NumberState if state != NumberState.ACTIVE])
def test_only_active_numbers_are_chosen(state):
    add_numbers(2)
    VirtualNumber.objects.update(state=state, is_rented=state != NumberState.ORDERED)

    assert best_for(ALICE) is None


def test_the_same_two_people_get_the_same_numbers_again():
    add_numbers(8)
    first = talk(ALICE, BOB)
    talk(ALICE, CHARLIE)
    first.close()
    Participant.objects.filter(conversation=first).update(released_at=first.closed_at)

    assert proxies(talk(ALICE, BOB)) == proxies(first)


def test_two_participants_get_different_numbers_if_the_pool_is_large_enough():
    add_numbers(5)

    for index in range(10):
        first, second = proxies(talk(f"+4477007{index:05}", f"+4477008{index:05}"))
        assert first != second


def test_a_large_group_is_spread_over_a_small_pool():
    add_numbers(3)

    conversation = create_conversation([ParticipantSpec(number=f"+44770090001{index}") for index in range(9)])

    assert set(Counter(proxies(conversation)).values()) == {3}


@pytest.mark.django_db(transaction=True)
def test_conversations_are_spread_evenly_over_the_pool():
    add_numbers(10)

    for index in range(25):
        talk(f"+4477007{index:05}", f"+4477008{index:05}")

    load = Counter(Participant.objects.values_list("proxy_number", flat=True))
    assert set(load.values()) == {5}


def test_a_person_with_many_conversations_gets_the_last_free_number():
    numbers = add_numbers(30)
    for index in range(29):
        talk(ALICE, f"+4477007{index:05}")
    left = set(numbers) - {each.proxy_number for each in person(ALICE).participants.select_related("proxy_number")}

    assert {best_for(ALICE)} == {each.number for each in left}
    # Also if the person already holds all the first rows.
    VirtualNumber.objects.filter(pk__in=[each.pk for each in left]).update(live_pair_count=99)
    assert {best_for(ALICE)} == {each.number for each in left}


_DAY = timedelta(days=1)
_PREFIXES = {"+1212555": "US", "+1310555": "US", "+1416555": "CA", "+4474005": "GB", "+3370005": "FR"}
_POOLS = st.lists(st.tuples(st.sampled_from(sorted(_PREFIXES)), st.none() | st.integers(1, 3)), max_size=8)
_PEOPLE = st.lists(st.sampled_from([NEW_YORKER, CANADIAN, ALICE, BOB, "+13105550199"]), min_size=1, unique=True)
_TAKEN = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 7)))
_LAST_USED = st.none() | st.tuples(st.integers(0, 7), st.integers(0, 7))


@examples(fast=10, thorough=60)
@given(
    pool=_POOLS,
    who=_PEOPLE,
    taken=_TAKEN,
    last_used=_LAST_USED,
    geography=st.sampled_from(["prefer", "same-country", "any"]),
)
def test_each_person_gets_the_best_of_their_free_numbers(db, settings, pool, who, taken, last_used, geography):
    """The choice equals the minimum of all free numbers sorted by preference."""
    settings.NUMBER_GEOGRAPHY = geography
    Participant.objects.all().delete()
    Conversation.objects.all().delete()
    VirtualNumber.objects.all().delete()
    now = timezone.now()
    numbers = [
        VirtualNumber.of(
            f"{prefix}{index:04}",
            _PREFIXES[prefix],
            None,
            frozenset({Feature.SMS}),
            state=NumberState.ACTIVE,
            live_pair_count=live or 0,
        )
        for index, (prefix, live) in enumerate(pool)
    ]
    VirtualNumber.objects.bulk_create(numbers)
    people = [person(number) for number in who]

    def meet(pairs, **fields):
        conversation = Conversation.objects.create()
        for position, (one, number) in enumerate(pairs):
            Participant.objects.create(
                conversation=conversation, position=position, real_number=one, proxy_number=number, **fields
            )

    live = {(people[one].pk, numbers[each].pk) for one, each in taken if one < len(people) and each < len(numbers)}
    for one, each in taken:
        if one < len(people) and each < len(numbers):
            meet([(people[one], numbers[each])])
    had = {}
    if last_used and len(people) == 2 and max(last_used) < len(numbers):
        meet(zip(people, [numbers[each] for each in last_used], strict=True), released_at=now)
        had = {one.pk: numbers[each].pk for one, each in zip(people, last_used, strict=True)}
    given = Counter()

    def preference(one, number):
        matters = geography != "any"
        return (
            number.pk != had.get(one.pk),
            matters and number.country != one.country,
            matters and bool(one.area) and number.area != one.area,
            matters and bool(one.region) and number.region != one.region,
            given[number.pk],
            number.live_pair_count,
        )

    policy = AssignmentPolicy()
    for one, choice in zip(people, assign_numbers(people, policy), strict=True):
        best = choice and choice.number
        countries = sender_countries(one.country, policy) or set(_PREFIXES.values())
        free = [each for each in numbers if each.country in countries and (one.pk, each.pk) not in live]
        assert (best is None) == (not free)
        if best:
            assert best in free
            assert preference(one, best) == min(preference(one, each) for each in free)
            given[best.pk] += 1


_STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=25)


@examples(fast=10, thorough=40)
@given(steps=_STEPS, pool=st.integers(1, 4))
def test_creation_fails_exactly_when_a_person_has_exhausted_the_pool(db, steps, pool):
    """The live conversations of the busiest person are enough numbers, in any order of creation."""
    Participant.objects.all().delete()
    Conversation.objects.all().delete()
    VirtualNumber.objects.all().delete()
    add_numbers(pool)
    open_ones = []
    for one, other, close in steps:
        if close and open_ones:
            conversation = open_ones.pop(one % len(open_ones))
            conversation.close()
            Participant.objects.filter(conversation=conversation).update(released_at=conversation.closed_at)
        if one == other:
            continue
        people = [f"+44770090001{each}" for each in (one, other)]
        live = Counter(Participant.objects.unreleased().values_list("real_number__number_hash", flat=True))
        is_full = any(live[RealNumber.from_number(each).number_hash] == pool for each in people)
        if is_full:
            with pytest.raises(NoNumberFree):
                talk(*people)
        else:
            open_ones.append(talk(*people))
    pairs = Participant.objects.unreleased().values_list("real_number", "proxy_number")
    assert len(pairs) == len(set(pairs))


def test_participants_of_the_same_conversation_count_towards_the_cap(settings):
    settings.NUMBER_CAP = 2
    add_numbers(1)

    with pytest.raises(NoNumberFree):
        talk(ALICE, BOB, CHARLIE)

    assert Counter(proxies(talk(ALICE, BOB))) == {"+447700900500": 2}

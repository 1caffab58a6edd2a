"""The needed numbers follow from the busiest person, from the cap or from the rate."""

from datetime import timedelta
from fractions import Fraction

import pytest

from conversations.planning.plan import Constraint
from numbers.models import Pool, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers
from tests.support.history import ago, sent, talked
from tests.support.plans import gb

pytestmark = pytest.mark.django_db


@pytest.fixture
def crowd(settings):
    """Return four pairs: two of Alice, one each of Bob and Charlie."""
    settings.NUMBER_SEGMENTS_PER_SECOND = {"*": 10.0}
    return [talked(ALICE, ago(3)), talked(ALICE, ago(2)), talked(BOB, ago(2)), talked(CHARLIE, ago(2))]


def test_the_busiest_person_can_be_the_limit(crowd):
    needs = gb().needs
    assert (needs.numbers, needs.limit) == (2, Constraint.BUSIEST)
    assert (needs.busiest, needs.cap, needs.rate) == (2, None, 0)


def test_the_cap_can_be_the_limit(crowd, settings):
    settings.NUMBER_CAP = 2
    assert gb().needs.limit == Constraint.BUSIEST

    talked("+447700900004", ago(1))
    needs = gb().needs
    assert (needs.numbers, needs.limit, needs.cap) == (3, Constraint.CAP, 3)


def test_the_cap_of_the_pool_can_be_the_limit():
    berlin = Pool.objects.create(name="berlin", number_cap=1)
    for person in (ALICE, BOB, CHARLIE):
        talked(person, ago(1), pool=berlin)
    assert (gb(pool=berlin).needs.cap, gb(pool=berlin).needs.limit) == (3, Constraint.CAP)


def test_the_rate_can_be_the_limit(crowd):
    minute = ago(1).replace(second=0)
    sent(crowd[0], minute, 1000)
    sent(crowd[2], minute + timedelta(seconds=59), 800)
    sent(crowd[3], minute + timedelta(seconds=60), 900)
    assert (gb().segments, gb().needs.rate) == (1800, 3)
    assert gb().needs.limit == Constraint.RATE

    sent(crowd[0], minute + timedelta(seconds=1))
    assert gb().needs.rate == 4


def test_the_rate_of_a_number_is_the_average_of_the_stock(crowd):
    sent(crowd[0], ago(1), 600)
    assert gb().needs.rate == 1

    [slow, _] = add_numbers(2)
    VirtualNumber.objects.filter(pk=slow.pk).update(rate=0.1)
    assert gb().limits.rate == Fraction(101, 20)
    assert gb().needs.rate == 2


def test_another_cool_down_is_simulated_on_the_same_history():
    # One conversation of an hour every two days. A cool-down of c days keeps those of the last c days live.
    for days in range(2, 42, 2):
        talked(ALICE, ago(days), ago(days) + timedelta(hours=1))
    country = gb(cool_down=timedelta(days=20))

    by_hand = {1: 1, 3: 2, 7: 4, 14: 8, 20: 11}
    found = {each.cool_down.days: each.needs.numbers for each in country.simulations}
    assert found == {**by_hand, 14: 8}
    assert country.needs.numbers == 4
    assert [each.cool_down.days for each in country.simulations if each.is_current] == [7]
    assert [each.cool_down.days for each in country.simulations if not each.is_allowed] == [1, 3]

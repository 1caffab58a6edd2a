"""A plan counts the pairs of a pool's real history, each until the end of its cool-down."""

from datetime import timedelta

import pytest

from conversations.lifecycle.add_participant import add_participant
from conversations.lifecycle.remove_participant import remove_participant
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import ParticipantSpec
from conversations.models import Participant
from numbers.models import Pool, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.history import WEEK, ago, spare_number, talked
from tests.support.plans import TODAY, gb, plan

pytestmark = pytest.mark.django_db

NEW_YORKER = "+12125550101"


def on(country, days_ago):
    """Return the figures of one day."""
    [day] = [day for day in country.days if day.date == TODAY - timedelta(days=days_ago)]
    return day


def needed_with(country, cool_down):
    [simulation] = [each for each in country.simulations if each.cool_down == cool_down]
    return simulation.needs.numbers


def test_a_pair_is_live_exactly_until_the_end_of_its_cool_down():
    moment = timedelta(microseconds=1)
    talked(ALICE, ago(30), ago(20))
    talked(ALICE, ago(20) + WEEK - moment, ago(12))
    assert gb().busiest == 2

    talked(BOB, ago(30), ago(20))
    talked(BOB, ago(20) + WEEK, ago(12))
    assert gb().busiest == 2
    assert [on(gb(), days).live for days in (30, 14, 13)] == [2, 2, 3]


def test_an_open_pair_is_live_and_a_pair_that_ended_long_ago_is_not():
    talked(ALICE, ago(200))
    talked(ALICE, ago(200), ago(100))

    assert {day.busiest for day in gb().days} == {1}
    assert len(gb().days) == 90


def test_a_pair_released_early_is_live_until_its_release():
    talked(ALICE, ago(30), ago(28), released_at=ago(26))
    assert [on(gb(), days).live for days in (26, 25)] == [1, 0]
    assert needed_with(gb(), timedelta(days=1)) == 1


def test_a_late_release_does_not_extend_the_cool_down():
    talked(ALICE, ago(30), ago(28), released_at=ago(2))
    assert [on(gb(), days).live for days in (21, 20)] == [1, 0]


def test_a_replaced_number_counts_until_its_release_and_its_successor_from_the_replacement():
    old = talked(ALICE, ago(40), release_at=ago(20) + WEEK, released_at=ago(13))
    new = talked(BOB, ago(40))
    type(new).objects.filter(pk=new.pk).update(conversation=old.conversation, position=1, created_at=ago(20))
    type(old).objects.filter(pk=old.pk).update(replaced_by=new, replaced_at=ago(20))

    assert [on(gb(), days).live for days in (40, 21, 20, 13, 12)] == [1, 1, 2, 2, 1]


def test_a_replaced_number_still_counts_after_its_conversation_ends(time_machine):
    add_numbers(4)
    time_machine.move_to(ago(40), tick=False)
    conversation = talk(ALICE, BOB)
    time_machine.move_to(ago(20), tick=False)
    list(replace(conversation.loaded_participants[0].proxy_number))
    time_machine.move_to(ago(15), tick=False)
    conversation.refresh_from_db()
    conversation.close()

    assert [on(gb(), days).busiest for days in (21, 20, 18, 15, 8, 7)] == [1, 2, 2, 2, 2, 0]


def test_a_pair_counts_from_when_its_participant_joined_until_the_cool_down_after_they_left(time_machine):
    add_numbers(4)
    time_machine.move_to(ago(40), tick=False)
    conversation = talk(BOB, CHARLIE)
    time_machine.move_to(ago(30), tick=False)
    add_participant(conversation, ParticipantSpec(number=ALICE), notify=False)
    time_machine.move_to(ago(20), tick=False)
    remove_participant(conversation, 2)

    assert [on(gb(), days).live for days in (31, 30, 20, 13, 12)] == [2, 3, 3, 3, 2]


def test_a_pair_of_a_phone_that_left_uses_the_simulated_cool_down():
    talked(ALICE, ago(40), removed_at=ago(20), release_at=ago(13), released_at=ago(13))
    talked(ALICE, ago(18))

    assert [needed_with(gb(), timedelta(days=days)) for days in (1, 3)] == [1, 2]


def test_a_replaced_number_uses_the_simulated_cool_down():
    old = talked(ALICE, ago(40), release_at=ago(20) + WEEK, released_at=ago(13))
    Participant.objects.filter(pk=old.pk).update(replaced_by=talked(BOB, ago(60), ago(60)), replaced_at=ago(20))
    talked(ALICE, ago(18), ago(17))
    talked(ALICE, ago(16), ago(15))
    talked(ALICE, ago(11))

    assert [needed_with(gb(), timedelta(days=days)) for days in (1, 3, 7, 14)] == [1, 2, 3, 4]


def test_other_pools_and_requested_reserved_numbers_do_not_count():
    berlin = Pool.objects.create(name="berlin")
    reserved = spare_number()
    VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)
    talked(ALICE, ago(5), pool=berlin)
    talked(ALICE, ago(5), number_of_ours=reserved, chosen_by="named")
    talked(ALICE, ago(5))

    assert gb().busiest == gb(pool=berlin).busiest == 1


def test_each_country_is_planned_separately():
    talked(ALICE, ago(5))
    talked(NEW_YORKER, ago(5))
    talked(NEW_YORKER, ago(5))
    add_numbers(1, "FR", start="+336390098")

    assert {each.country: each.busiest for each in plan().countries} == {"FR": 0, "GB": 1, "US": 2}


def test_an_empty_pool_has_an_empty_plan():
    assert plan().countries == []
    assert gb().needs.limit is None
    assert gb().days == []


def test_the_plan_uses_the_cool_down_of_the_pool():
    slow = Pool.objects.create(name="slow", cool_down=20 * 24 * 3600)
    talked(ALICE, ago(30), ago(20), pool=slow)
    talked(ALICE, ago(10), ago(9), pool=slow)
    assert gb(pool=slow).busiest == 2

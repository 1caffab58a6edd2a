"""A top-up fills a low pool up to its target, if its rule is enabled."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone as clock

from numbers.models import NumberOrder, NumberState, OrderState, Pool, TopUp, VirtualNumber
from numbers.provisioning import top_up
from numbers.provisioning.top_up import free_numbers, top_up_all
from smsproxy.crypto import number_hash
from tests.support.builders import ALICE, BOB, CHARLIE, add_number, add_numbers, talk
from tests.support.outbox import later
from tests.support.top_ups import UNREACHABLE, add_rule, round_of

pytestmark = pytest.mark.django_db


# The reserve ----------------------------------------------------------------------------------------------------------


def test_an_unused_pool_has_all_its_numbers_in_reserve():
    add_numbers(3)

    assert free_numbers(add_rule()) == 3


def test_the_reserve_is_the_numbers_free_for_the_busiest_person():
    add_numbers(5)
    talk(ALICE, BOB)
    talk(ALICE, CHARLIE)

    assert free_numbers(add_rule()) == 3


def test_cooling_conversations_reduce_the_reserve_until_they_are_released():
    add_numbers(5)
    conversation = talk(ALICE, BOB)
    conversation.close()
    rule = add_rule()
    assert free_numbers(rule) == 4

    conversation.participants.update(released_at=clock.now())

    assert free_numbers(rule) == 5


def test_people_of_other_countries_do_not_reduce_the_reserve():
    add_numbers(5)
    add_numbers(1, country="DE", start="+4915223432")
    talk("+4915223433333", "+33612345678")

    assert free_numbers(add_rule()) == 5
    assert free_numbers(add_rule(country="DE")) == 0


def test_each_pool_has_its_own_reserve():
    berlin = Pool.objects.create(name="berlin")
    add_numbers(2)
    VirtualNumber.objects.bulk_create(
        VirtualNumber(number=f"+4477009006{index:02}", country="GB", pool=berlin, state="active", is_rented=True)
        for index in range(4)
    )
    talk(ALICE, BOB, pool=berlin)

    assert free_numbers(add_rule(pool=berlin)) == 3
    assert free_numbers(add_rule()) == 2


@pytest.mark.parametrize(
    ("state", "fields", "counts"),
    [
        (NumberState.ACTIVE, {}, 1),
        (NumberState.ACTIVE, {"is_reserved": True}, 0),
        (NumberState.DRAINING, {}, 0),
        (NumberState.QUARANTINED, {"is_rented": True}, 0),
        (NumberState.RETIRED, {}, 0),
        (NumberState.ORDERED, {}, 1),
        (NumberState.CONFIGURING, {}, 1),
    ],
)
def test_numbers_that_are_or_will_be_assignable_are_in_reserve(state, fields, counts):
    add_number("+447700900500", state, **fields)

    assert free_numbers(add_rule()) == counts


def test_a_pair_on_a_draining_number_does_not_reduce_the_reserve():
    add_numbers(6)
    for index in range(4):
        talk(ALICE, f"+4477009001{index:02}")
    for number in VirtualNumber.objects.filter(participants__real_number__number_hash=number_hash(ALICE))[:3]:
        number.drain(reason="for the test")

    assert free_numbers(add_rule()) == 2  # Three numbers are left, and Alice has one of them.


def test_a_pair_on_a_draining_number_does_not_count_towards_the_cap(settings):
    settings.NUMBER_CAP = 3
    first, *_ = add_numbers(4)
    VirtualNumber.objects.filter(pk=first.pk).update(live_pair_count=9, state=NumberState.DRAINING)

    assert free_numbers(add_rule()) == 3


def test_a_number_that_cannot_text_is_not_in_reserve():
    add_numbers(1)
    VirtualNumber.objects.update(can_sms=False)

    assert free_numbers(add_rule()) == 0


def test_the_cap_of_live_participants_reduces_the_reserve(settings):
    add_numbers(4)
    for person in range(4):
        talk(f"+44770090010{person}", f"+44770090020{person}")
    rule = add_rule()
    assert free_numbers(rule) == 3  # Each person has one live pair.

    settings.NUMBER_CAP = 3

    assert free_numbers(rule) == 1  # 8 live participants at 3 per number need 3 numbers.


# Buying ---------------------------------------------------------------------------------------------------------------


def test_a_top_up_buys_exactly_up_to_the_target(rentals):
    rule = add_rule(target=3)

    assert round_of(rule) == ""
    assert round_of(rule) == ""

    assert free_numbers(rule) == 3
    assert VirtualNumber.objects.active().count() == 3
    assert set(rentals.account) == rentals.reaching_us()
    assert NumberOrder.objects.get().state == OrderState.COMPLETE


def test_nothing_is_bought_at_or_above_the_low_water_mark(rentals):
    add_numbers(2)

    assert round_of(add_rule(target=5)) == ""

    assert rentals.calls == []


def test_a_top_up_buys_for_the_busiest_person(rentals):
    add_numbers(2)
    talk(ALICE, BOB)
    talk(ALICE, CHARLIE)
    rule = add_rule(low_threshold=1, target=2)

    round_of(rule)

    assert free_numbers(rule) == 2
    assert len(rentals.bought) == 2


def test_bought_numbers_are_added_to_the_pool_of_the_rule(rentals):
    berlin = Pool.objects.create(name="berlin")

    round_of(add_rule(pool=berlin))

    assert set(VirtualNumber.objects.values_list("pool__name", "country", "state")) == {("berlin", "GB", "active")}


def test_only_numbers_of_the_type_of_the_rule_are_bought(rentals):
    rule = add_rule(type="landline")

    round_of(rule)

    assert NumberOrder.objects.get().query.type == "landline"


def test_each_purchase_is_recorded_as_an_event_with_its_cost(rentals):
    round_of(add_rule())

    order = NumberOrder.objects.get()
    assert [(event.actor, event.reason) for event in order.events.order_by("pk")] == [
        ("top-up", "opened: 0 in reserve, fewer than 2"),
        ("top-up", "bought +447700900700: 1 of 2, EUR 1.25 a month"),
        ("top-up", "bought +447700900701: 2 of 2, EUR 1.25 a month"),
        ("", "all 2 numbers are ours"),
    ]


def test_a_new_rule_is_disabled_and_reports_what_it_would_buy(rentals):
    rule = TopUp.objects.create(country="GB", low_threshold=1, target=3, monthly_budget=100, max_monthly_cost=2)

    assert round_of(rule) == "would buy 3, but is disabled"

    assert rentals.calls == []
    assert not NumberOrder.objects.exists()
    add_numbers(1)
    assert round_of(rule) == ""


def test_a_rule_disabled_during_a_round_buys_no_further_number(rentals):
    rule = add_rule(target=5)
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(is_enabled=False)

    round_of(rule)
    assert round_of(rule) == "would buy 4, but is disabled"

    assert len(rentals.account) == 1
    TopUp.objects.update(is_enabled=True)
    rentals.at_step = lambda name: None
    assert round_of(rule) == ""
    assert len(rentals.account) == 5
    assert NumberOrder.objects.count() == 1


def test_a_rule_disabled_just_before_its_order_opens_no_order(rentals):
    stale_rule = add_rule()
    TopUp.objects.update(is_enabled=False)

    assert top_up._order_to_fulfil(stale_rule) is None

    assert not NumberOrder.objects.exists()


def test_a_round_without_rules_is_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        top_up_all()


# One worker at a time -------------------------------------------------------------------------------------------------


def test_a_leased_rule_is_skipped_until_its_lease_expires(rentals, time_machine):
    rule = add_rule(busy_until=clock.now() + top_up.TOP_UP_LEASE)

    round_of(rule)
    assert rentals.calls == []
    later(time_machine, top_up.TOP_UP_LEASE.total_seconds() + 1)
    round_of(rule)

    assert len(rentals.account) == 2
    assert rule.busy_until is None


def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(rentals):
    rule = add_rule()
    theirs = clock.now() + top_up.TOP_UP_LEASE
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(busy_until=theirs, last_error="theirs")

    assert round_of(rule) == "theirs"

    assert len(rentals.account) == 1
    assert rule.busy_until == theirs


def test_a_rule_has_at_most_one_open_order(db):
    rule = add_rule()
    order = {"country": "GB", "count": 1, "features": "SMS", "pattern_place": "anywhere", "top_up": rule}
    NumberOrder.objects.create(**order)

    with pytest.raises(IntegrityError), transaction.atomic():
        NumberOrder.objects.create(**order)


def test_an_operator_s_order_is_separate_from_the_order_of_a_rule(rentals, run):
    rentals.fail("search", *[UNREACHABLE] * 4)
    rule = add_rule(max_monthly_cost=Decimal("2.00"))
    round_of(rule)

    code, _ = run("provision_numbers", "--country", "GB", "--count", "2", "--max-monthly-cost", "2.00", "--yes")

    assert code == 0
    assert NumberOrder.objects.filter(top_up=None).get().state == OrderState.COMPLETE
    assert rule.orders.get().state == OrderState.OPEN

"""A pool that runs low fills itself: up to its target, within its budget, and only where it is switched on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone as clock

from numbers import budget, topping_up
from numbers.models import NumberOrder, NumberState, OrderState, Pool, TopUp, VirtualNumber
from numbers.releasing import release
from numbers.syncing import sync
from numbers.topping_up import reserve, top_up_all
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, Refused, TryLater
from smsproxy.crypto import keyed_hash
from tests.outbox import later
from tests.people import ALICE, BOB, CHARLIE, add_number, add_numbers, talk
from tests.rentals import LOST, offer
from tests.top_ups import add_rule, let_time_pass, round_of

pytestmark = pytest.mark.django_db

UNREACHABLE = TryLater("the carrier is unreachable")


def offers(*costs):
    return [offer(f"+4477009007{index:02}", cost) for index, cost in enumerate(costs)]


def bought():
    return VirtualNumber.objects.ours().filter(order__top_up__isnull=False).count()


# The reserve ----------------------------------------------------------------------------------------------------------


def test_an_untouched_pool_has_all_its_numbers_in_reserve():
    add_numbers(3)

    assert reserve(add_rule()) == 3


def test_the_reserve_is_what_the_busiest_person_has_left():
    add_numbers(5)
    talk(ALICE, BOB)
    talk(ALICE, CHARLIE)

    assert reserve(add_rule()) == 3


def test_conversations_that_cool_down_use_up_the_reserve_and_those_that_have_do_not():
    add_numbers(5)
    conversation = talk(ALICE, BOB)
    conversation.close()
    rule = add_rule()
    assert reserve(rule) == 4

    conversation.participants.update(released_at=clock.now())

    assert reserve(rule) == 5


def test_people_of_other_countries_use_up_nothing_of_a_country_s_reserve():
    add_numbers(5)
    add_numbers(1, country="DE", start="+4915223432")
    talk("+4915223433333", "+33612345678")

    assert reserve(add_rule()) == 5
    assert reserve(add_rule(country="DE")) == 0


def test_each_pool_has_a_reserve_of_its_own():
    berlin = Pool.objects.create(name="berlin")
    add_numbers(2)
    VirtualNumber.objects.bulk_create(
        VirtualNumber(number=f"+4477009006{index:02}", country="GB", pool=berlin, state="active", is_rented=True)
        for index in range(4)
    )
    talk(ALICE, BOB, pool=berlin)

    assert reserve(add_rule(pool=berlin)) == 3
    assert reserve(add_rule()) == 2


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
def test_what_can_be_given_out_or_soon_can_is_in_reserve(state, fields, counts):
    add_number("+447700900500", state, **fields)

    assert reserve(add_rule()) == counts


def test_who_still_has_a_number_that_is_given_to_nobody_any_more_uses_up_none_of_the_others():
    add_numbers(6)
    for index in range(4):
        talk(ALICE, f"+4477009001{index:02}")
    for number in VirtualNumber.objects.filter(participants__real_number__number_hash=keyed_hash(ALICE))[:3]:
        number.drain(reason="for the test")

    assert reserve(add_rule()) == 2  # Of the three that are left, Alice has one.


def test_those_who_still_have_such_a_number_count_against_no_cap(settings):
    settings.NUMBER_CAP = 3
    first, *_ = add_numbers(4)
    VirtualNumber.objects.filter(pk=first.pk).update(live=9, state=NumberState.DRAINING)

    assert reserve(add_rule()) == 3


def test_a_number_that_cannot_text_is_not_in_reserve():
    add_numbers(1)
    VirtualNumber.objects.update(can_sms=False)

    assert reserve(add_rule()) == 0


def test_a_cap_of_live_participants_uses_up_numbers_too(settings):
    add_numbers(4)
    for person in range(4):
        talk(f"+44770090010{person}", f"+44770090020{person}")
    rule = add_rule()
    assert reserve(rule) == 3  # Nobody has more than one.

    settings.NUMBER_CAP = 3

    assert reserve(rule) == 1  # 8 live participants, 3 to a number: 3 numbers.


# Buying ---------------------------------------------------------------------------------------------------------------


def test_it_buys_exactly_up_to_the_target_and_then_no_more(rentals):
    rule = add_rule(target=3)

    assert round_of(rule) == ""
    assert round_of(rule) == ""

    assert reserve(rule) == 3
    assert VirtualNumber.objects.active().count() == 3
    assert set(rentals.account) == rentals.reaching_us()
    assert NumberOrder.objects.get().state == OrderState.COMPLETE


def test_above_the_low_water_mark_nothing_is_bought(rentals):
    add_numbers(2)

    assert round_of(add_rule(target=5)) == ""

    assert rentals.calls == []


def test_it_buys_for_what_the_busiest_person_needs(rentals):
    add_numbers(2)
    talk(ALICE, BOB)
    talk(ALICE, CHARLIE)
    rule = add_rule(low_water=1, target=2)

    round_of(rule)

    assert reserve(rule) == 2
    assert len(rentals.bought) == 2


def test_the_numbers_go_into_its_pool(rentals):
    berlin = Pool.objects.create(name="berlin")

    round_of(add_rule(pool=berlin))

    assert set(VirtualNumber.objects.values_list("pool__name", "country", "state")) == {("berlin", "GB", "active")}


def test_only_numbers_of_its_type_are_bought(rentals):
    rule = add_rule(type="landline")

    round_of(rule)

    assert NumberOrder.objects.get().query.type == "landline"


def test_each_purchase_is_an_event_of_the_order_with_its_cost(rentals):
    round_of(add_rule())

    order = NumberOrder.objects.get()
    assert [(event.actor, event.reason) for event in order.events.order_by("pk")] == [
        ("top-up", "opened: 0 in reserve, fewer than 2"),
        ("top-up", "bought +447700900700: 1 of 2, EUR 1.25 a month"),
        ("top-up", "bought +447700900701: 2 of 2, EUR 1.25 a month"),
        ("", "all 2 numbers are ours"),
    ]


def test_it_is_off_until_it_is_switched_on_and_says_what_it_would_buy(rentals):
    rule = TopUp.objects.create(country="GB", low_water=1, target=3, monthly_budget=100, max_monthly_cost=2)

    assert round_of(rule) == "would buy 3: switched off"

    assert rentals.calls == []
    assert not NumberOrder.objects.exists()
    add_numbers(1)
    assert round_of(rule) == ""


def test_switched_off_in_the_middle_it_buys_no_further_number(rentals):
    rule = add_rule(target=5)
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(is_enabled=False)

    round_of(rule)
    assert round_of(rule) == "would buy 4: switched off"

    assert len(rentals.account) == 1
    TopUp.objects.update(is_enabled=True)
    rentals.at_step = lambda name: None
    assert round_of(rule) == ""
    assert len(rentals.account) == 5
    assert NumberOrder.objects.count() == 1


def test_switched_off_in_the_last_moment_it_orders_nothing(rentals):
    as_it_was = add_rule()
    TopUp.objects.update(is_enabled=False)

    assert topping_up._order_to_fulfil(as_it_was) is None

    assert not NumberOrder.objects.exists()


def test_without_a_rule_a_round_is_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        top_up_all()


# Money ----------------------------------------------------------------------------------------------------------------


def test_the_budget_may_be_used_up_to_the_last_cent_and_not_exceeded(rentals):
    rule = add_rule(target=5, monthly_budget=Decimal("3.75"))

    trouble = round_of(rule)

    assert budget.committed(rule) == Decimal("3.75")
    assert len(rentals.account) == 3
    assert trouble == "3 of 5 are ours: the budget is used up (EUR 0.00 of EUR 3.75 a month is left)"


def test_a_cent_less_buys_one_number_less(rentals):
    rule = add_rule(monthly_budget=Decimal("2.49"))

    trouble = round_of(rule)

    assert len(rentals.account) == 1
    assert trouble == "1 of 2 are ours: the budget is used up (EUR 1.24 of EUR 2.49 a month is left)"


def test_what_is_left_of_the_budget_goes_to_a_number_that_is_cheap_enough(rentals):
    rentals.offers = offers("1.50", "1.50", "0.50")

    round_of(add_rule(monthly_budget=Decimal("2.00")))

    assert rentals.bought == ["+447700900700", "+447700900702"]


def test_no_number_costs_more_than_the_cap_and_none_of_unknown_cost_is_bought(rentals):
    rentals.offers = offers("2.01", None, "2.00")

    trouble = round_of(add_rule())

    assert rentals.bought == ["+447700900702"]
    assert trouble == (
        "1 of 2 are ours: 1 for rent costs more than EUR 2.00 a month; of 1 for rent the carrier does not say the cost"
    )


def test_a_cap_that_was_lowered_holds_for_the_order_that_is_open(rentals):
    rule = add_rule()
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    TopUp.objects.update(max_monthly_cost=1, retry_at=None)

    round_of(rule)

    assert rentals.account == {}


@pytest.mark.parametrize(("monthly_budget", "count"), [("1.25", 1), ("2.50", 2)])
def test_a_budget_that_is_changed_in_the_middle_holds_for_the_next_number(rentals, monthly_budget, count):
    rule = add_rule(low_water=3, target=3, monthly_budget=Decimal("1.50"))
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(monthly_budget=monthly_budget)

    trouble = round_of(rule)

    assert len(rentals.bought) == count
    assert trouble == (
        f"{count} of 3 are ours: the budget is used up (EUR 0.00 of EUR {monthly_budget} a month is left)"
    )


def test_a_budget_that_is_cut_in_the_middle_is_what_it_says(rentals):
    rule = add_rule()
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(monthly_budget=1)

    trouble = round_of(rule)

    assert len(rentals.bought) == 1
    assert trouble == "1 of 2 are ours: the budget is used up (EUR -0.25 of EUR 1.00 a month is left)"


def test_a_budget_is_for_all_that_a_rule_rents_not_for_what_one_order_buys(rentals):
    rule = add_rule(monthly_budget=Decimal("3.00"))
    round_of(rule)
    VirtualNumber.objects.update(state=NumberState.QUARANTINED)

    trouble = round_of(rule)

    assert len(rentals.account) == 2
    assert trouble == "0 of 2 are ours: the budget is used up (EUR 0.50 of EUR 3.00 a month is left)"


def test_a_number_that_was_given_up_costs_until_the_month_is_over(rentals, time_machine):
    time_machine.move_to(datetime(2026, 5, 20, tzinfo=UTC), tick=False)
    rule = add_rule(monthly_budget=Decimal("2.50"))
    round_of(rule)
    for number in VirtualNumber.objects.all():
        release(number)
    time_machine.move_to(datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), tick=False)

    trouble = round_of(rule)

    assert "the budget is used up (EUR 0.00 of EUR 2.50 a month is left)" in trouble
    assert rentals.account == {}
    time_machine.move_to(datetime(2026, 6, 1, 2, tzinfo=UTC), tick=False)
    assert round_of(rule) == ""
    assert len(rentals.account) == 2


def test_a_number_that_was_bought_earlier_costs_in_the_month_in_which_it_is_given_up(rentals, time_machine):
    """Else all could be given up and bought anew each month, at twice the budget."""
    time_machine.move_to(datetime(2026, 5, 20, tzinfo=UTC), tick=False)
    rule = add_rule(monthly_budget=Decimal("2.50"))
    round_of(rule)
    time_machine.move_to(datetime(2026, 6, 25, tzinfo=UTC), tick=False)
    for number in VirtualNumber.objects.all():
        release(number)

    trouble = round_of(rule)

    assert "the budget is used up (EUR 0.00 of EUR 2.50 a month is left)" in trouble
    assert rentals.account == {}
    time_machine.move_to(datetime(2026, 7, 1, tzinfo=UTC), tick=False)
    assert round_of(rule) == ""
    assert len(rentals.account) == 2


def test_a_purchase_that_was_refused_costs_nothing(rentals):
    rentals.offers = offers("1.25", "1.25")
    rentals.gone = {"+447700900700"}
    rule = add_rule(low_water=1, target=1, monthly_budget=Decimal("1.25"))

    assert round_of(rule) == ""

    assert rentals.bought == ["+447700900701"]
    assert budget.committed(rule) == Decimal("1.25")


def test_a_number_that_was_given_up_is_not_bought_again_in_the_same_month(rentals, time_machine):
    """Else what it has cost before would be forgotten."""
    time_machine.move_to(datetime(2026, 5, 20, tzinfo=UTC), tick=False)
    rule = add_rule(low_water=1, target=1, monthly_budget=Decimal("2.50"))
    round_of(rule)
    release(VirtualNumber.objects.get())

    round_of(rule)

    assert rentals.bought == ["+447700900700", "+447700900701"]
    assert budget.committed(rule) == Decimal("2.50")


def test_where_the_carrier_has_no_others_than_those_given_up_it_says_so(rentals):
    rentals.offers = offers("1.25")
    rule = add_rule(low_water=1, target=1)
    round_of(rule)
    release(VirtualNumber.objects.get())

    assert round_of(rule) == "0 of 1 are ours: 1 for rent was ours this month"


def test_numbers_that_others_have_bought_do_not_count(rentals):
    add_numbers(5)
    VirtualNumber.objects.update(monthly_cost=100, state=NumberState.DRAINING)

    assert round_of(add_rule(monthly_budget=Decimal("2.50"))) == ""

    assert len(rentals.account) == 2


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_where_the_carrier_has_no_more_it_says_so_and_tries_again_in_an_hour(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rentals.offers = offers("1.25")
    rule = add_rule()

    assert round_of(rule) == "1 of 2 are ours: the carrier has no more"

    assert rule.retry_at == clock.now() + timedelta(hours=1)
    assert NumberOrder.objects.get().state == OrderState.SHORT
    rentals.offers += [offer("+447700900799")]
    later(time_machine, 3500)
    assert round_of(rule) == "1 of 2 are ours: the carrier has no more"
    assert NumberOrder.objects.count() == 1
    later(time_machine, 200)
    assert round_of(rule) == ""
    assert rule.retry_at is None
    assert len(rentals.account) == 2


def test_a_rule_that_goes_on_buying_nothing_asks_less_and_less_often(rentals, time_machine):
    """Each time is an order that staff see."""
    time_machine.move_to(clock.now(), tick=False)
    rule = add_rule(monthly_budget=Decimal(1))
    pauses = []

    for _ in range(5):
        assert "the budget is used up" in round_of(rule)
        pauses.append((rule.retry_at - clock.now()) / timedelta(hours=1))
        time_machine.move_to(rule.retry_at, tick=False)
    TopUp.objects.update(monthly_budget=100)
    assert round_of(rule) == ""
    VirtualNumber.objects.update(is_reserved=True)
    TopUp.objects.update(monthly_budget=1)
    assert "the budget is used up" in round_of(rule)
    pauses.append((rule.retry_at - clock.now()) / timedelta(hours=1))

    assert pauses == [1, 2, 4, 6, 6, 1]


def test_orders_of_long_ago_make_no_pause_longer(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rentals.offers = []
    rule = add_rule()
    for _ in range(4):
        round_of(rule)
        time_machine.move_to(rule.retry_at, tick=False)
    add_numbers(2)
    assert round_of(rule) == ""
    time_machine.move_to(clock.now() + timedelta(days=90), tick=False)
    VirtualNumber.objects.update(is_reserved=True)

    round_of(rule)

    assert rule.retry_at == clock.now() + timedelta(hours=1)


def test_an_order_that_was_open_for_days_before_it_ended_short_makes_a_pause_of_an_hour(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rule = add_rule()
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    time_machine.move_to(clock.now() + timedelta(days=2), tick=False)
    rentals.offers = []

    assert "the carrier has no more" in round_of(rule)

    assert rule.retry_at == clock.now() + timedelta(hours=1)


def test_a_worker_whose_order_ended_short_while_another_began_the_next_fails_not(rentals):
    rule = add_rule()
    order = {"country": "GB", "count": 1, "features": "SMS", "pattern_place": "anywhere", "top_up": rule}
    NumberOrder.objects.create(**order, state=OrderState.SHORT)
    NumberOrder.objects.create(**order)

    assert topping_up._pause_after_short(rule) == timedelta(hours=1)


def test_a_rule_that_staff_change_while_it_looks_for_numbers_need_not_wait(rentals):
    rule = add_rule(max_monthly_cost=Decimal(1))
    rentals.at_step = lambda name: name == "before search" and TopUp.objects.update(max_monthly_cost=Decimal("1.25"))

    assert "cost more than" in round_of(rule)

    assert rule.retry_at is None
    assert round_of(rule) == ""
    assert len(rentals.bought) == 2


def test_trouble_is_over_as_soon_as_the_reserve_is_fine_again(rentals):
    rentals.offers = []
    rule = add_rule()
    assert round_of(rule) == "0 of 2 are ours: the carrier has no more"

    add_numbers(2)

    assert round_of(rule) == ""
    assert rule.retry_at is None


def test_refusals_are_told_as_such(rentals):
    rentals.offers = offers("1.25", "1.25")
    rentals.gone = {"+447700900700", "+447700900701"}

    assert round_of(add_rule()) == "0 of 2 are ours: 2 were refused"


def test_a_country_whose_numbers_are_all_refused_is_given_up_for_an_hour(rentals):
    rentals.offers = offers(*["1.25"] * 30)
    rentals.gone = {each.number for each in rentals.offers}
    rule = add_rule()

    assert round_of(rule).startswith("0 of 2 are ours: 20 numbers in a row were refused, the last because: ")

    assert NumberOrder.objects.get().state == OrderState.SHORT
    assert rule.retry_at > clock.now() + timedelta(minutes=59)


def test_a_carrier_that_is_away_leaves_the_order_open_for_a_minute_later(rentals, time_machine):
    time_machine.move_to(clock.now(), tick=False)
    rule = add_rule()
    rentals.fail("search", *[UNREACHABLE] * 4)

    assert round_of(rule) == "the carrier did not do it: the carrier is unreachable"

    assert rule.retry_at == clock.now() + timedelta(minutes=1)
    assert NumberOrder.objects.get().state == OrderState.OPEN
    later(time_machine, 50)
    calls = len(rentals.calls)
    round_of(rule)
    assert len(rentals.calls) == calls
    later(time_machine, 20)
    assert round_of(rule) == ""
    assert NumberOrder.objects.get().state == OrderState.COMPLETE
    assert len(rentals.account) == 2


def test_an_order_that_waited_for_the_carrier_buys_nothing_that_others_have_bought_meanwhile(rentals):
    rule = add_rule(target=5)
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    add_numbers(5)
    let_time_pass()

    assert round_of(rule) == ""

    assert rentals.bought == []
    order = NumberOrder.objects.get()
    assert order.state == OrderState.SHORT
    assert order.events.first().reason == "0 of 5 are ours: so many are not missing any more"


def test_an_order_of_which_a_part_is_still_missing_is_followed_by_one_for_that(rentals):
    rule = add_rule(low_water=5, target=5)
    rentals.fail("search", *[UNREACHABLE] * 4)
    round_of(rule)
    add_numbers(3)
    let_time_pass()

    assert round_of(rule) == ""

    assert len(rentals.bought) == 2
    assert reserve(rule) == 5
    assert list(rule.orders.order_by("pk").values_list("count", "state")) == [(5, "short"), (2, "complete")]


def test_a_purchase_in_doubt_of_an_order_for_too_many_is_settled(rentals):
    rule = add_rule(target=5)
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))
    round_of(rule)
    add_numbers(5)
    let_time_pass()

    assert round_of(rule) == ""

    assert rentals.bought == ["+447700900700"]
    assert rentals.reaching_us() == set(rentals.account)
    assert rule.orders.get().state == OrderState.SHORT


@pytest.mark.parametrize("fault", [AccountFault("no credit"), Refused("this country is not for rent")])
def test_whatever_the_carrier_says_it_is_told(rentals, fault):
    rentals.fail("search", fault)

    assert fault.detail in round_of(add_rule())


def test_a_purchase_whose_reply_is_lost_is_made_once(rentals):
    rule = add_rule()
    rentals.fail("buy", LOST)
    rentals.fail("owned", *[OutcomeUnknown("no answer")])

    assert "no answer" in round_of(rule)
    let_time_pass()
    assert round_of(rule) == ""

    assert len(rentals.bought) == len(rentals.account) == 2


def test_a_purchase_that_a_sync_settles_is_an_event_of_the_order_too(rentals):
    rule = add_rule(low_water=1, target=1)
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))
    round_of(rule)

    list(sync())

    told = rule.orders.get().events.filter(actor="top-up", reason__startswith="bought ")
    assert told.get().reason == "bought +447700900700: 1 of 1, EUR 1.25 a month"
    let_time_pass()
    assert round_of(rule) == ""
    assert told.count() == len(rentals.bought) == 1


def test_a_purchase_in_doubt_counts_against_the_budget(rentals):
    rule = add_rule(monthly_budget=Decimal("1.25"))
    rentals.fail("buy", *[OutcomeUnknown("no answer")] * 4)

    round_of(rule)

    assert budget.committed(rule) == Decimal("1.25")


def test_a_purchase_in_doubt_is_settled_though_its_cost_was_made_unknown_meanwhile(rentals):
    """As an import of numbers can."""
    rule = add_rule(low_water=1, target=1)
    rentals.fail("buy", *[OutcomeUnknown("no answer")] * 4)
    round_of(rule)
    VirtualNumber.objects.update(monthly_cost=None)
    assert budget.committed(rule) == Decimal("2.00")  # Its cap.
    let_time_pass()

    assert round_of(rule) == ""

    assert len(rentals.account) == VirtualNumber.objects.active().count() == 1
    told = NumberOrder.objects.get().events.get(reason__startswith="bought ")
    assert told.reason == "bought +447700900700: 1 of 1, at an unknown cost"


def test_numbers_whose_texts_do_not_reach_us_are_not_bought_again(rentals):
    rule = add_rule()
    rentals.fail("configure", *[Refused("the address does not answer")] * 3)

    trouble = round_of(rule)
    assert trouble == "the texts of 2 that it bought do not reach us yet: does PUBLIC_URL answer from outside?"
    let_time_pass()
    round_of(rule)
    let_time_pass()
    assert round_of(rule) == ""

    assert len(rentals.bought) == 2
    assert VirtualNumber.objects.active().count() == 2


def test_a_fault_of_one_rule_holds_up_no_other(rentals, monkeypatch, caplog):
    add_rule(country="DE")
    add_rule()
    real = topping_up.shortage
    monkeypatch.setattr(topping_up, "shortage", lambda rule: 1 / 0 if rule.country == "DE" else real(rule))

    top_up_all()

    assert len(rentals.account) == 2
    assert "top-up of common, DE failed: ZeroDivisionError" in caplog.text
    assert TopUp.objects.get(country="DE").trouble == "an unexpected ZeroDivisionError, see the log"


# One worker at a time -------------------------------------------------------------------------------------------------


def test_a_rule_that_a_worker_is_at_is_left_to_it_until_its_lease_has_run_out(rentals, time_machine):
    rule = add_rule(busy_until=clock.now() + topping_up.LEASE)

    round_of(rule)
    assert rentals.calls == []
    later(time_machine, topping_up.LEASE.total_seconds() + 1)
    round_of(rule)

    assert len(rentals.account) == 2
    assert rule.busy_until is None


def test_a_worker_whose_rule_was_taken_over_stops_and_says_nothing(rentals):
    rule = add_rule()
    theirs = clock.now() + topping_up.LEASE
    rentals.at_step = lambda name: name == "after buy" and TopUp.objects.update(busy_until=theirs, trouble="theirs")

    assert round_of(rule) == "theirs"

    assert len(rentals.account) == 1
    assert rule.busy_until == theirs


def test_there_is_one_open_order_of_a_rule(db):
    rule = add_rule()
    order = {"country": "GB", "count": 1, "features": "SMS", "pattern_place": "anywhere", "top_up": rule}
    NumberOrder.objects.create(**order)

    with pytest.raises(IntegrityError), transaction.atomic():
        NumberOrder.objects.create(**order)


def test_an_operator_s_order_for_the_same_is_another_one(rentals, run):
    rentals.fail("search", *[UNREACHABLE] * 4)
    rule = add_rule(max_monthly_cost=Decimal("2.00"))
    round_of(rule)

    code, _ = run("provision_numbers", "--country", "GB", "--count", "2", "--max-monthly-cost", "2.00", "--yes")

    assert code == 0
    assert NumberOrder.objects.filter(top_up=None).get().state == OrderState.COMPLETE
    assert rule.orders.get().state == OrderState.OPEN

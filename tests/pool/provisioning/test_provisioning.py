"""Numbers are bought as asked for, whatever the carrier answers."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from numbers.models import NumberOrder, NumberState, OrderState, RealNumber, VirtualNumber
from numbers.provisioning.order import (
    MAX_REFUSALS,
    SAME_REQUEST_WINDOW,
    OrderSpec,
    find_or_open_order,
    fulfil,
    order_for,
    plan,
)
from numbers.provisioning.release import release
from numbers.provisioning.step import StepKind
from smsproxy.carriers.base import (
    AccountFault,
    Feature,
    OutcomeUnknown,
    PatternPosition,
    PermanentFailure,
    TemporaryFailure,
)
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, add_number, add_numbers, talk
from tests.support.fake_rental_carrier import LOST, Rentals, offer
from tests.support.orders import TWO, pool, run

pytestmark = pytest.mark.django_db


def test_an_order_buys_configures_and_stores_what_was_asked_for(rentals):
    order, steps = run()

    assert order.state == OrderState.COMPLETE
    assert [step.kind for step in steps] == [StepKind.BOUGHT, StepKind.CONFIGURED] * 2
    assert pool() == set(rentals.account) == rentals.reaching_us()
    number = order.numbers.first()
    assert (number.country, number.type, number.can_sms) == ("GB", "mobile", True)
    assert number.monthly_cost == Decimal("1.25")
    assert number.webhook_url == inbound_sms_url()
    assert [event.new_state for event in number.events.order_by("pk")] == ["ordered", "configuring", "active"]
    assert [event.new_state for event in order.events.order_by("pk")] == ["open", "complete"]


def test_a_number_that_is_retired_and_still_rented_leaves_no_room_for_another(rentals):
    order = find_or_open_order(TWO)
    rentals.fail("configure", AccountFault("no credit"))
    with pytest.raises(AccountFault):
        list(fulfil(order))
    order.numbers.get().retire(reason="for the test")

    list(fulfil(order))

    assert order.state == OrderState.COMPLETE
    assert len(rentals.account) == 2


def test_the_intent_is_stored_before_the_purchase(rentals):
    seen = []
    rentals.at_step = lambda name: name == "before buy" and seen.append(pool(NumberState.ORDERED))

    run()

    assert seen == [{"+447700900700"}, {"+447700900701"}]


def test_a_candidate_that_is_refused_gives_way_to_the_next(rentals):
    rentals.gone.add("+447700900700")

    order, steps = run()

    assert order.state == OrderState.COMPLETE
    assert steps[0].kind == StepKind.REFUSED
    assert pool() == {"+447700900701", "+447700900702"}
    refused = VirtualNumber.objects.get(number="+447700900700")
    assert refused.state == NumberState.RETIRED
    assert "refused" in refused.events.first().reason


def test_a_candidate_that_is_refused_because_it_is_ours_is_kept(rentals):
    rentals.at_step = lambda name: name == "before buy" and rentals.account.setdefault("+447700900700", "")

    order, _ = run(OrderSpec(country="GB", count=1))

    assert order.state == OrderState.COMPLETE
    assert set(rentals.account) == pool() == {"+447700900700"}


def test_a_lost_reply_to_a_purchase_is_settled_by_listing_what_we_own(rentals, pauses):
    rentals.fail("buy", LOST)

    run()

    assert rentals.bought == ["+447700900700", "+447700900701"]
    assert pool() == set(rentals.account)
    assert pauses == [1]


def test_a_lost_request_is_repeated_for_the_same_number(rentals):
    rentals.fail("buy", OutcomeUnknown("no answer"))

    run(OrderSpec(country="GB", count=1))

    assert [number for verb, number in rentals.calls if verb == "buy"] == ["+447700900700"] * 2
    assert pool() == set(rentals.account) == {"+447700900700"}


def test_a_list_that_lags_behind_a_purchase_does_not_cause_a_second_one(rentals):
    rentals.fail("buy", LOST)
    rentals.lag = 3

    order, _ = run(OrderSpec(country="GB", count=1))

    assert order.state == OrderState.COMPLETE
    assert rentals.bought == ["+447700900700"]


def test_a_purchase_that_cannot_be_settled_stops_the_run_and_the_next_run_settles_it(rentals):
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))

    with pytest.raises(OutcomeUnknown):
        run()
    assert pool(NumberState.ORDERED) == {"+447700900700"}

    order, _ = run()

    assert order.state == OrderState.COMPLETE
    assert NumberOrder.objects.count() == 1
    assert rentals.bought == ["+447700900700", "+447700900701"]


def test_a_listing_that_is_refused_is_not_taken_for_a_number_that_is_refused(rentals):
    rentals.fail("buy", LOST)
    rentals.fail("owned", PermanentFailure("the carrier cannot use this request", code="400"))

    with pytest.raises(PermanentFailure):
        run()

    assert pool(NumberState.ORDERED) == {"+447700900700"}


def test_a_busy_carrier_is_asked_again_after_1_3_and_6_seconds(rentals, pauses):
    rentals.fail("buy", *[TemporaryFailure("throttled", code="429")] * 3)

    order, _ = run()

    assert order.state == OrderState.COMPLETE
    assert pauses == [1, 3, 6]


def test_a_busy_carrier_is_given_the_time_it_asks_for(rentals, pauses):
    rentals.fail("buy", TemporaryFailure("throttled", retry_after=17))

    run()

    assert pauses == [17]


@pytest.mark.parametrize(
    "faults",
    [[TemporaryFailure("throttled")] * 4, [TemporaryFailure("throttled", retry_after=7200)]],
    ids=["always", "for hours"],
)
def test_a_carrier_that_stays_busy_stops_the_run_and_nothing_is_lost(rentals, faults):
    rentals.fail("buy", None, *faults)

    with pytest.raises(TemporaryFailure):
        run()

    assert pool() == {"+447700900700"}
    run()
    assert pool() == set(rentals.account) == {"+447700900700", "+447700900701"}


def test_a_search_that_is_interrupted_goes_on_where_it_was(rentals):
    rentals.fail("search", None, TemporaryFailure("throttled"))

    order, _ = run(OrderSpec(country="GB", count=5))

    assert order.state == OrderState.COMPLETE
    assert len(rentals.bought) == 5


def test_an_account_at_fault_stops_the_run_at_once(rentals):
    rentals.fail("buy", AccountFault("the account has no credit", code="9"))

    with pytest.raises(AccountFault):
        run()

    assert rentals.calls[-1] == ("buy", "+447700900700")


def test_a_number_that_cannot_be_configured_is_counted_and_the_run_goes_on(rentals):
    rentals.fail("configure", PermanentFailure("the webhook does not answer"))

    order, steps = run()

    assert order.state == OrderState.COMPLETE
    assert [step.kind for step in steps].count(StepKind.NOT_CONFIGURED) == 1
    assert pool(NumberState.CONFIGURING) == {"+447700900700"}
    assert pool() == {"+447700900701"}


def test_an_order_ends_short_when_the_carrier_has_no_more(rentals):
    order, _ = run(OrderSpec(country="GB", count=11))

    assert order.state == OrderState.SHORT
    assert len(rentals.account) == 10


def test_pages_that_move_up_while_we_buy_hide_no_candidate(rentals):
    order, _ = run(OrderSpec(country="GB", count=10))

    assert order.state == OrderState.COMPLETE
    assert len(rentals.account) == 10


def test_pages_are_fetched_only_as_they_are_needed(rentals):
    plan(order_for(TWO))

    assert rentals.pages == 1


def test_refusals_without_end_stop_the_run_and_say_why(monkeypatch, rentals):
    rentals.offers = [offer(f"+4477009008{index:02}") for index in range(40)]
    rentals.gone.update(each.number for each in rentals.offers)

    with pytest.raises(PermanentFailure, match=f"{MAX_REFUSALS} numbers in a row"):
        run()


def test_a_number_that_was_given_up_is_ordered_again(rentals):
    VirtualNumber.objects.bulk_create(
        [VirtualNumber(number="+447700900700", country="GB", state=NumberState.RETIRED, webhook_url="https://old")]
    )

    order, _ = run(OrderSpec(country="GB", count=1))

    number = VirtualNumber.objects.get()
    assert (number.state, number.order, number.webhook_url) == (NumberState.ACTIVE, order, inbound_sms_url())


@pytest.mark.parametrize("state", [state for state in NumberState if state != NumberState.RETIRED])
def test_a_candidate_that_the_pool_knows_is_passed_over(rentals, state):
    add_number("+447700900700", state)

    run(OrderSpec(country="GB", count=1))

    assert rentals.bought == ["+447700900701"]
    assert VirtualNumber.objects.get(number="+447700900700").state == state


def test_the_number_of_a_participant_never_becomes_a_virtual_number(rentals):
    add_numbers(2)
    talk(ALICE, "+447700900700")

    assert plan(order_for(TWO)).candidates[0].number == "+447700900701"
    run(OrderSpec(country="GB", count=1))

    assert rentals.bought == ["+447700900701"]


def test_a_number_of_a_stranger_who_once_texted_us_may_be_bought(rentals):
    RealNumber.objects.get_or_create_many(["+447700900700"])

    assert plan(order_for(TWO)).candidates[0].number == "+447700900700"
    run(OrderSpec(country="GB", count=1))

    assert rentals.bought == ["+447700900700"]


def test_only_an_unfinished_order_for_exactly_the_same_is_gone_on_with(rentals):
    order = find_or_open_order(TWO)

    assert find_or_open_order(TWO) == order
    assert plan(order_for(TWO)).order == order
    for other in (
        OrderSpec(country="GB", count=3),
        OrderSpec(country="US", count=2),
        OrderSpec(country="GB", count=2, features=frozenset({Feature.SMS, Feature.VOICE})),
        OrderSpec(country="GB", count=2, pattern="7700"),
        OrderSpec(country="GB", count=2, pattern_place=PatternPosition.END),
        OrderSpec(country="GB", count=2, max_monthly_cost=Decimal("1.50")),
    ):
        assert find_or_open_order(other) != order


def test_asking_for_the_same_right_after_the_end_is_the_same_request_unless_said_otherwise(rentals):
    """Whoever was killed after the last step and runs the command again has not asked for more."""
    order, _ = run()

    again, steps = run()
    assert (again, steps) == (order, [])
    assert len(rentals.account) == 2

    assert find_or_open_order(TWO, again=True) != order


def test_asking_for_the_same_later_or_after_its_numbers_were_released_is_a_new_request(rentals):
    order, _ = run()
    order.events.update(created_at=timezone.now() - SAME_REQUEST_WINDOW - timedelta(seconds=1))
    assert order_for(TWO).pk is None

    order.events.update(created_at=timezone.now())
    assert order_for(TWO).pk == order.pk
    release(order.numbers.first())
    assert order_for(TWO).pk is None


def test_an_order_that_was_given_up_meanwhile_buys_no_more(rentals):
    order = find_or_open_order(TWO)
    steps = fulfil(order)
    next(steps)
    NumberOrder.objects.get().transition(OrderState.ABANDONED, reason="not needed")

    list(steps)

    assert len(rentals.account) == 1
    assert order.state == OrderState.ABANDONED


@pytest.mark.parametrize(("count", "reason"), [(1, "its one number is ours"), (2, "all 2 numbers are ours")])
def test_the_end_of_an_order_is_told_in_words(rentals, count, reason):
    order, _ = run(OrderSpec(country="GB", count=count))

    assert order.events.first().reason == reason


@pytest.mark.parametrize(
    "call",
    [
        lambda rentals: list(rentals.search(order_for(TWO).query)),
        lambda rentals: rentals.buy("+447700900700", "GB"),
        lambda rentals: rentals.configure("+447700900700", "GB", ""),
        lambda rentals: list(rentals.owned()),
        lambda rentals: rentals.cancel("+447700900700", "GB"),
    ],
    ids=["search", "buy", "configure", "owned", "cancel"],
)
def test_the_fake_carrier_is_not_to_be_called_within_a_transaction(call):
    with transaction.atomic(), pytest.raises(AssertionError, match="within a transaction"):
        call(Rentals())


def test_the_fake_carrier_refuses_a_second_purchase_as_the_real_one_does():
    rentals = Rentals()
    rentals.buy("+447700900700", "GB")
    with pytest.raises(PermanentFailure):
        rentals.buy("+447700900700", "GB")

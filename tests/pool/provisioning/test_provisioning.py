"""An order buys the requested numbers, for every answer of the carrier."""

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


def test_an_order_buys_configures_and_stores_the_requested_numbers(rentals):
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


def test_a_retired_number_that_is_still_rented_counts_towards_the_order(rentals):
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


def test_a_refused_candidate_is_replaced_by_the_next(rentals):
    rentals.gone.add("+447700900700")

    order, steps = run()

    assert order.state == OrderState.COMPLETE
    assert steps[0].kind == StepKind.REFUSED
    assert pool() == {"+447700900701", "+447700900702"}
    refused = VirtualNumber.objects.get(number="+447700900700")
    assert refused.state == NumberState.RETIRED
    assert "refused" in refused.events.first().reason


def test_a_candidate_refused_because_it_is_ours_is_kept(rentals):
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


def test_a_lost_request_is_retried_for_the_same_number(rentals):
    rentals.fail("buy", OutcomeUnknown("no answer"))

    run(OrderSpec(country="GB", count=1))

    assert [number for verb, number in rentals.calls if verb == "buy"] == ["+447700900700"] * 2
    assert pool() == set(rentals.account) == {"+447700900700"}


def test_a_stale_list_does_not_cause_a_second_purchase(rentals):
    rentals.fail("buy", LOST)
    rentals.lag = 3

    order, _ = run(OrderSpec(country="GB", count=1))

    assert order.state == OrderState.COMPLETE
    assert rentals.bought == ["+447700900700"]


def test_an_unknown_purchase_stops_the_run_and_the_next_run_settles_it(rentals):
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))

    with pytest.raises(OutcomeUnknown):
        run()
    assert pool(NumberState.ORDERED) == {"+447700900700"}

    order, _ = run()

    assert order.state == OrderState.COMPLETE
    assert NumberOrder.objects.count() == 1
    assert rentals.bought == ["+447700900700", "+447700900701"]


def test_a_refused_listing_is_not_treated_as_a_refused_number(rentals):
    rentals.fail("buy", LOST)
    rentals.fail("owned", PermanentFailure("the carrier cannot use this request", code="400"))

    with pytest.raises(PermanentFailure):
        run()

    assert pool(NumberState.ORDERED) == {"+447700900700"}


def test_a_busy_carrier_is_retried_after_1_3_and_6_seconds(rentals, pauses):
    rentals.fail("buy", *[TemporaryFailure("throttled", code="429")] * 3)

    order, _ = run()

    assert order.state == OrderState.COMPLETE
    assert pauses == [1, 3, 6]


def test_a_retry_waits_as_long_as_the_carrier_requests(rentals, pauses):
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


def test_an_interrupted_search_resumes_where_it_stopped(rentals):
    rentals.fail("search", None, TemporaryFailure("throttled"))

    order, _ = run(OrderSpec(country="GB", count=5))

    assert order.state == OrderState.COMPLETE
    assert len(rentals.bought) == 5


def test_an_account_fault_stops_the_run_at_once(rentals):
    rentals.fail("buy", AccountFault("the account has no credit", code="9"))

    with pytest.raises(AccountFault):
        run()

    assert rentals.calls[-1] == ("buy", "+447700900700")


def test_a_failed_configuration_is_counted_and_the_run_continues(rentals):
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


def test_pages_that_shift_during_purchases_hide_no_candidate(rentals):
    order, _ = run(OrderSpec(country="GB", count=10))

    assert order.state == OrderState.COMPLETE
    assert len(rentals.account) == 10


def test_search_pages_are_fetched_only_as_needed(rentals):
    plan(order_for(TWO))

    assert rentals.pages == 1


def test_too_many_refusals_in_a_row_stop_the_run(monkeypatch, rentals):
    rentals.offers = [offer(f"+4477009008{index:02}") for index in range(40)]
    rentals.gone.update(each.number for each in rentals.offers)

    with pytest.raises(PermanentFailure, match=f"{MAX_REFUSALS} numbers in a row"):
        run()


def test_a_retired_number_can_be_ordered_again(rentals):
    VirtualNumber.objects.bulk_create(
        [VirtualNumber(number="+447700900700", country="GB", state=NumberState.RETIRED, webhook_url="https://old")]
    )

    order, _ = run(OrderSpec(country="GB", count=1))

    number = VirtualNumber.objects.get()
    assert (number.state, number.order, number.webhook_url) == (NumberState.ACTIVE, order, inbound_sms_url())


@pytest.mark.parametrize("state", [state for state in NumberState if state != NumberState.RETIRED])
def test_a_candidate_already_in_the_pool_is_skipped(rentals, state):
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


def test_only_an_unfinished_order_for_exactly_the_same_request_is_resumed(rentals):
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


def test_a_repeat_right_after_the_end_is_the_same_request_without_again(rentals):
    """An operator whose run was killed after the last step repeats the command without wanting more."""
    order, _ = run()

    again, steps = run()
    assert (again, steps) == (order, [])
    assert len(rentals.account) == 2

    assert find_or_open_order(TWO, again=True) != order


def test_a_later_repeat_or_one_after_a_release_is_a_new_request(rentals):
    order, _ = run()
    order.events.update(created_at=timezone.now() - SAME_REQUEST_WINDOW - timedelta(seconds=1))
    assert order_for(TWO).pk is None

    order.events.update(created_at=timezone.now())
    assert order_for(TWO).pk == order.pk
    release(order.numbers.first())
    assert order_for(TWO).pk is None


def test_an_order_abandoned_during_a_run_buys_no_more(rentals):
    order = find_or_open_order(TWO)
    steps = fulfil(order)
    next(steps)
    NumberOrder.objects.get().transition(OrderState.ABANDONED, reason="not needed")

    list(steps)

    assert len(rentals.account) == 1
    assert order.state == OrderState.ABANDONED


@pytest.mark.parametrize(("count", "reason"), [(1, "its one number is ours"), (2, "all 2 numbers are ours")])
def test_the_last_event_of_an_order_states_its_result(rentals, count, reason):
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
def test_the_fake_carrier_rejects_calls_within_a_transaction(call):
    with transaction.atomic(), pytest.raises(AssertionError, match="within a transaction"):
        call(Rentals())


def test_the_fake_carrier_refuses_a_second_purchase():
    rentals = Rentals()
    rentals.buy("+447700900700", "GB")
    with pytest.raises(PermanentFailure):
        rentals.buy("+447700900700", "GB")

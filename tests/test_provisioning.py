"""Numbers are bought knowingly: what was asked for, never more, whatever the carrier answers."""

import threading
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from numbers import provisioning
from numbers.models import NumberOrder, NumberState, OrderState, RealNumber, VirtualNumber
from numbers.provisioning import (
    JUST_ENDED,
    MOST_REFUSALS,
    Approval,
    OrderSpec,
    find_or_open_order,
    fulfil,
    order_for,
    plan,
)
from numbers.releasing import release
from numbers.steps import StepKind
from smsproxy.carriers.base import AccountFault, Feature, OutcomeUnknown, PatternPlace, Refused, TryLater
from smsproxy.public_urls import inbound_sms_url
from tests.people import ALICE, add_numbers, talk
from tests.rentals import LOST, Rentals, offer

pytestmark = pytest.mark.django_db

TWO = OrderSpec(country="GB", count=2)


def run(spec=TWO, **options):
    order = find_or_open_order(spec)
    return order, list(fulfil(order, **options))


def pool(state=NumberState.ACTIVE):
    return set(VirtualNumber.objects.filter(state=state).values_list("number", flat=True))


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
    rentals.fail("owned", Refused("the carrier cannot use this request", code="400"))

    with pytest.raises(Refused):
        run()

    assert pool(NumberState.ORDERED) == {"+447700900700"}


def test_a_busy_carrier_is_asked_again_after_1_3_and_6_seconds(rentals, pauses):
    rentals.fail("buy", *[TryLater("throttled", code="429")] * 3)

    order, _ = run()

    assert order.state == OrderState.COMPLETE
    assert pauses == [1, 3, 6]


def test_a_busy_carrier_is_given_the_time_it_asks_for(rentals, pauses):
    rentals.fail("buy", TryLater("throttled", retry_after=17))

    run()

    assert pauses == [17]


@pytest.mark.parametrize(
    "faults", [[TryLater("throttled")] * 4, [TryLater("throttled", retry_after=7200)]], ids=["always", "for hours"]
)
def test_a_carrier_that_stays_busy_stops_the_run_and_nothing_is_lost(rentals, faults):
    rentals.fail("buy", None, *faults)

    with pytest.raises(TryLater):
        run()

    assert pool() == {"+447700900700"}
    run()
    assert pool() == set(rentals.account) == {"+447700900700", "+447700900701"}


def test_a_search_that_is_interrupted_goes_on_where_it_was(rentals):
    rentals.fail("search", None, TryLater("throttled"))

    order, _ = run(OrderSpec(country="GB", count=5))

    assert order.state == OrderState.COMPLETE
    assert len(rentals.bought) == 5


def test_an_account_at_fault_stops_the_run_at_once(rentals):
    rentals.fail("buy", AccountFault("the account has no credit", code="9"))

    with pytest.raises(AccountFault):
        run()

    assert rentals.calls[-1] == ("buy", "+447700900700")


def test_a_number_that_cannot_be_configured_is_counted_and_the_run_goes_on(rentals):
    rentals.fail("configure", Refused("the webhook does not answer"))

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

    with pytest.raises(Refused, match=f"{MOST_REFUSALS} numbers in a row"):
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
    VirtualNumber.objects.create(number="+447700900700", country="GB", state=state)

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
    RealNumber.objects.remember(["+447700900700"])

    assert plan(order_for(TWO)).candidates[0].number == "+447700900700"
    run(OrderSpec(country="GB", count=1))

    assert rentals.bought == ["+447700900700"]


def test_a_number_dearer_than_the_limit_or_of_unknown_cost_is_not_bought_under_a_limit(rentals):
    rentals.offers = [offer("+447700900701", "1.51"), offer("+447700900702", None), offer("+447700900703", "1.50")]

    order, _ = run(OrderSpec(country="GB", count=3, max_monthly_cost=Decimal("1.50")))

    assert order.state == OrderState.SHORT
    assert rentals.bought == ["+447700900703"]


def offers(*costs, start=0):
    return [offer(f"+4477009007{start + index:02}", cost) for index, cost in enumerate(costs)]


@pytest.mark.parametrize(
    ("shown", "offered", "bought"),
    [
        ([], ["500.00"], []),
        (["1.25"], ["1.25", "1.25", "1.25"], ["1.25"]),
        (["1.00"], ["900.00", "1.01", "0.99"], ["0.99"]),
        (["1.00", None], ["900.00", "1.00"], ["1.00"]),
        (["1.00", None], ["1.00", None, None], ["1.00", None]),
        ([None], ["0.01", None], [None]),
        (["1.00", "9.00"], ["9.00", "9.00", "0.50"], ["9.00", "0.50"]),
        (["9.00", "1.00"], ["1.00", "9.00", "1.00"], ["1.00", "9.00"]),
    ],
)
def test_each_number_bought_takes_the_place_of_one_that_was_shown_and_cost_as_much(rentals, shown, offered, bought):
    rentals.offers = offers(*offered)
    order = find_or_open_order(OrderSpec(country="GB", count=3))

    list(fulfil(order, approval=Approval(costs=tuple(Decimal(cost) if cost else None for cost in shown))))

    costs = [
        str(cost) if cost else None for cost in order.numbers.order_by("pk").values_list("monthly_cost", flat=True)
    ]
    assert costs == bought
    assert set(rentals.bought) == pool()
    assert order.state == OrderState.OPEN


def test_a_number_that_is_refused_gives_way_only_to_one_as_cheap(rentals):
    rentals.offers = offers("1.00", "9.00", "1.00")
    order = find_or_open_order(OrderSpec(country="GB", count=1))
    shown = plan(order).approval
    rentals.gone.add("+447700900700")

    list(fulfil(order, approval=shown))

    assert rentals.bought == ["+447700900702"]
    assert order.state == OrderState.COMPLETE


def test_a_number_of_unknown_cost_among_those_shown_lifts_no_limit(rentals):
    rentals.offers = offers("1.00", None, "900.00")
    order = find_or_open_order(TWO)
    shown = plan(order).approval
    rentals.gone.add("+447700900700")

    list(fulfil(order, approval=shown))

    assert rentals.bought == ["+447700900701"]


def test_an_order_whose_rest_was_not_shown_stays_open_for_the_next_run(rentals):
    rentals.offers = offers("1.25")
    order = find_or_open_order(TWO)
    shown = plan(order).approval
    rentals.offers += offers("1.25", start=1)

    list(fulfil(order, approval=shown))
    assert (order.state, rentals.bought) == (OrderState.OPEN, ["+447700900700"])
    list(fulfil(order, approval=plan(order).approval))

    assert order.state == OrderState.COMPLETE


def test_an_order_for_which_the_carrier_has_no_more_ends_short_though_all_that_was_shown_is_bought(rentals):
    rentals.offers = offers("1.25")
    order = find_or_open_order(TWO)

    list(fulfil(order, approval=plan(order).approval))

    assert order.state == OrderState.SHORT


def test_a_purchase_in_doubt_is_settled_even_where_nothing_was_shown(rentals):
    rentals.fail("buy", LOST)
    rentals.fail("owned", OutcomeUnknown("no answer"))
    with pytest.raises(OutcomeUnknown):
        run()

    order, _ = run(approval=Approval(costs=()))

    assert pool() == set(rentals.account) == {"+447700900700"}
    assert order.state == OrderState.OPEN


@pytest.mark.parametrize(("is_gone", "bought"), [(False, ["+447700900700"]), (True, ["+447700900702"])])
def test_a_purchase_in_doubt_takes_its_place_among_those_shown(rentals, is_gone, bought):
    """Shown as perhaps to buy. It is bought, or one as cheap in its place; and not both."""
    rentals.fail("buy", *[OutcomeUnknown("no answer")] * 4)
    with pytest.raises(OutcomeUnknown):
        run()
    rentals.offers = offers("1.25")
    order = order_for(TWO)
    shown = plan(order).approval
    rentals.offers += offers("9.00", "1.25", "1.25", start=1)
    if is_gone:
        rentals.gone.add("+447700900700")

    list(fulfil(order, approval=shown))

    assert shown.costs == (Decimal("1.25"),)
    assert rentals.bought == bought


def test_without_an_approval_the_limits_of_the_order_hold(rentals):
    rentals.offers = offers("900.00", None)

    order, _ = run()

    assert order.state == OrderState.COMPLETE


def test_a_plan_shows_what_will_be_bought_and_buys_nothing(rentals):
    shown = plan(order_for(OrderSpec(country="GB", count=12)))

    assert [each.number for each in shown.candidates] == [each.number for each in rentals.offers]
    assert shown.missing == 2
    assert rentals.account == {}
    assert not NumberOrder.objects.exists()


def test_only_an_unfinished_order_for_exactly_the_same_is_gone_on_with(rentals):
    order = find_or_open_order(TWO)

    assert find_or_open_order(TWO) == order
    assert plan(order_for(TWO)).order == order
    for other in (
        OrderSpec(country="GB", count=3),
        OrderSpec(country="US", count=2),
        OrderSpec(country="GB", count=2, features=frozenset({Feature.SMS, Feature.VOICE})),
        OrderSpec(country="GB", count=2, pattern="7700"),
        OrderSpec(country="GB", count=2, pattern_place=PatternPlace.END),
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
    order.events.update(created_at=timezone.now() - JUST_ENDED - timedelta(seconds=1))
    assert order_for(TWO).pk is None

    order.events.update(created_at=timezone.now())
    assert order_for(TWO).pk == order.pk
    release(order.numbers.first())
    assert order_for(TWO).pk is None


def test_an_order_that_was_given_up_meanwhile_buys_no_more(rentals):
    order = find_or_open_order(TWO)
    steps = fulfil(order)
    next(steps)
    NumberOrder.objects.get().move(OrderState.ABANDONED, reason="not needed")

    list(steps)

    assert len(rentals.account) == 1
    assert order.state == OrderState.ABANDONED


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_runs_at_once_of_the_same_order_buy_no_more_than_was_asked_for(rentals, round_):
    rentals.gone.update({"+447700900701", "+447700900703"})
    runs, spec = 6, OrderSpec(country="GB", count=5)
    start = threading.Barrier(runs)
    failures = []

    def work():
        try:
            start.wait(30)
            list(fulfil(find_or_open_order(spec)))
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    order = NumberOrder.objects.get()
    assert order.state == OrderState.COMPLETE
    assert len(rentals.account) == 5
    assert pool() == set(rentals.account) == rentals.reaching_us()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_runs_that_count_at_the_same_moment_do_not_both_take_the_last_place(rentals, monkeypatch):
    """Held between the count and the insert until the other has counted too, which the lock does not let it."""
    order = find_or_open_order(OrderSpec(country="GB", count=1))
    both_have_counted = threading.Barrier(2)
    count = provisioning._has_room
    intended, failures = [], []

    def count_and_wait(order):
        has_room = count(order)
        with suppress(threading.BrokenBarrierError):
            both_have_counted.wait(2)
        return has_room

    monkeypatch.setattr(provisioning, "_has_room", count_and_wait)

    def work(candidate):
        try:
            intended.append(provisioning._intend(order, candidate))
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[candidate]) for candidate in rentals.offers[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    assert len([number for number in intended if number]) == order.numbers.count() == 1


def refused_to_another_run(rentals, *, then=lambda: None):
    """At the next purchase, another run of the order is told that the number is gone, and gives it up."""

    def another_run(name):
        if name == "after buy":
            rentals.at_step = lambda name: None
            VirtualNumber.objects.get(number=rentals.bought[0]).move(NumberState.RETIRED, reason="refused")
            then()

    rentals.at_step = another_run


def test_a_number_bought_after_all_takes_its_place_back(rentals):
    refused_to_another_run(rentals)

    order, steps = run(OrderSpec(country="GB", count=1))

    assert order.state == OrderState.COMPLETE
    assert pool() == set(rentals.account) == {"+447700900700"}
    assert steps[0].detail == ""


def test_a_number_bought_after_all_whose_place_is_filled_is_kept_counted_and_told(rentals):
    order = find_or_open_order(OrderSpec(country="GB", count=1))
    refused_to_another_run(rentals, then=lambda: list(fulfil(order)))

    steps = list(fulfil(NumberOrder.objects.get()))

    assert pool() == set(rentals.account) == {"+447700900700", "+447700900701"}
    assert steps[0].kind == StepKind.BOUGHT
    assert steps[0].detail == "beyond the 1 asked for, as its place was filled meanwhile"
    events = VirtualNumber.objects.get(number="+447700900700").events.values_list("reason", flat=True)
    assert f"bought after all, {steps[0].detail}" in events
    assert order.numbers.ours().count() == 2


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
    with pytest.raises(Refused):
        rentals.buy("+447700900700", "GB")

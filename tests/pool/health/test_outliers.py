"""A number whose SMS fail far more often than the others' is quarantined."""

import random

import pytest

from numbers.health import Health, measure, quarantine_outliers
from smsproxy.carriers.base import ReceiptStatus
from tests.support.builders import add_numbers
from tests.support.number_health import ANOTHER, LEAST, NETWORK, quarantined, receipts


def test_a_number_whose_sms_are_not_delivered_is_quarantined_with_the_figures(numbers):
    bad, good, another = numbers
    receipts(bad, delivered=11, lost=14)
    receipts(good, delivered=97, lost=3)
    receipts(another, delivered=300)

    assert quarantine_outliers() == 1

    assert quarantined() == [bad]
    event = bad.events.first()
    assert (event.old_state, event.new_state, event.actor) == ("active", "quarantined", "")
    assert event.reason == (
        "on network 23410, 14 of 25 SMS within 6 h were not delivered; of the other numbers' SMS 3 of 400"
    )


def test_a_quarantined_number_is_not_quarantined_again(numbers):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert [quarantine_outliers(), quarantine_outliers()] == [1, 0]
    assert bad.events.filter(new_state="quarantined").count() == 1


def test_a_network_outage_quarantines_no_number(numbers):
    for number in numbers:
        receipts(number, lost=LEAST)

    assert quarantined() == []


@pytest.mark.parametrize(("lost_of_the_others", "is_outlier"), [(40, True), (41, False)])
def test_an_outlier_fails_at_least_twice_as_often_as_the_others(numbers, lost_of_the_others, is_outlier):
    bad, *others = numbers
    receipts(bad, delivered=120, lost=80)
    receipts(others[0], delivered=100)
    receipts(others[1], delivered=100 - lost_of_the_others, lost=lost_of_the_others)

    assert (bad in quarantined()) is is_outlier


@pytest.mark.parametrize(("lost", "is_outlier"), [(30, True), (29, False)])
def test_a_failure_share_below_the_threshold_is_tolerated(numbers, lost, is_outlier):
    bad, good, _ = numbers
    receipts(bad, delivered=100 - lost, lost=lost)
    receipts(good, delivered=100)

    assert (bad in quarantined()) is is_outlier


@pytest.mark.parametrize(("sent", "others_sent", "is_outlier"), [(20, 20, True), (19, 20, False), (20, 19, False)])
def test_too_few_receipts_quarantine_no_number(numbers, sent, others_sent, is_outlier):
    bad, good, _ = numbers
    receipts(bad, lost=sent)
    receipts(good, delivered=others_sent)

    assert quarantined() == ([bad] if is_outlier else [])


@pytest.mark.parametrize("lost_of_100", [3, 5, 10, 15, 20, 25])
def test_a_healthy_number_is_almost_never_an_outlier_by_chance(lost_of_100):
    """At most 10 of 10,000 checks at the minimum of receipts: otherwise half a pool would go in a month."""
    luck = random.Random(lost_of_100)
    blamed = 0
    for _ in range(10_000):
        lost = sum(luck.random() * 100 < lost_of_100 for _ in range(LEAST))
        others = {"others_sent": 100_000, "others_lost": 1000 * lost_of_100}
        blamed += Health(number_id=1, network=NETWORK, sent=LEAST, lost=lost, **others).is_outlier

    assert blamed <= 10


def test_at_least_half_of_a_pool_stays_in_service(numbers, caplog):
    """Two of three numbers lose nearly all their SMS, each on another network."""
    worst, bad, good = numbers
    receipts(worst, lost=LEAST)
    receipts(bad, delivered=LEAST)
    receipts(bad, lost=LEAST - 2, delivered=2, network=ANOTHER)
    receipts(good, delivered=LEAST, network=ANOTHER)

    assert quarantined() == [worst]
    assert quarantined() == [worst]
    assert "1 numbers stand out and stay in service" in caplog.text

    add_numbers(1, start="+4477009006")

    assert quarantined() == [worst, bad]


def test_the_only_number_of_a_country_stays_in_service(numbers):
    """Its SMS abroad may fail more often than those of local numbers; at home it may be the best number."""
    [alone] = add_numbers(1, country="US", start="+12125550")
    receipts(alone, lost=LEAST)
    receipts(numbers[0], delivered=LEAST)

    assert quarantined() == []


def test_a_number_is_compared_only_on_the_same_network(numbers):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST, network=NETWORK)
    receipts(good, delivered=500, network=ANOTHER)

    assert quarantined() == []


def test_failures_on_one_network_are_enough_for_a_quarantine(numbers):
    bad, good, _ = numbers
    receipts(bad, delivered=500, network=ANOTHER)
    receipts(bad, lost=LEAST, network=NETWORK)
    receipts(good, delivered=LEAST, network=NETWORK)

    assert quarantined() == [bad]


def test_receipts_of_an_unknown_network_quarantine_no_number(numbers):
    """Receipts without a network may come from two networks."""
    bad, good, _ = numbers
    receipts(bad, lost=LEAST, network="")
    receipts(good, delivered=LEAST, network="")

    assert quarantined() == []


@pytest.mark.parametrize("code", ["2", "3", "4", "7", "9", "13", "15"])
def test_failures_caused_by_the_recipient_do_not_count(numbers, code):
    """The phone is off, the number is dead, the person has opted out ..."""
    number, good, _ = numbers
    receipts(number, lost=500, code=code)
    receipts(number, delivered=15, lost=5)
    receipts(good, delivered=LEAST)

    assert quarantined() == []
    assert [(each.sent, each.lost) for each in measure() if each.number_id == number.pk] == [(20, 5)]


def test_a_number_with_only_recipient_failures_has_no_health(numbers):
    receipts(numbers[0], lost=500, code="3")

    assert measure() == []


def test_undecided_receipts_do_not_count(numbers):
    bad, good, _ = numbers
    receipts(bad, delivered=500, status=ReceiptStatus.ACCEPTED)
    receipts(bad, delivered=500, status=ReceiptStatus.UNKNOWN)
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == [bad]


def test_a_draining_number_is_not_quarantined(numbers):
    bad, good, _ = numbers
    bad.drain(reason="for the test")
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantine_outliers() == 0

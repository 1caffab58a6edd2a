"""One unreachable phone is no reason to quarantine a number that texts it."""

from conversations.models import DeliveryReceipt
from tests.support.builders import ALICE, BOB, CHARLIE, members, talk
from tests.support.number_health import ANOTHER, LEAST, NETWORK, quarantined, receipts
from tests.support.outbox import queue


def to_person(number, person, *, delivered=0, lost=0, network=NETWORK):
    """Store delivery receipts for SMS from a number to this participant."""
    before = DeliveryReceipt.objects.latest("pk").pk if DeliveryReceipt.objects.exists() else 0
    receipts(number, delivered=delivered, lost=lost, network=network)
    [message] = queue(person, "Hello")
    DeliveryReceipt.objects.filter(pk__gt=before).update(message=message)


def test_one_unreachable_phone_does_not_quarantine_a_number(numbers):
    number, good, _ = numbers
    alice, bob = members(talk(ALICE, BOB))
    receipts(good, delivered=500)
    to_person(number, alice, lost=60)
    to_person(number, bob, delivered=LEAST)

    assert quarantined() == []

    to_person(number, bob, lost=LEAST)

    assert quarantined() == [number]


def test_several_unreachable_phones_need_no_additional_receipts(numbers):
    """Without the excluded phone fewer than HEALTH_MIN_RECEIPTS receipts remain."""
    number, good, _ = numbers
    receipts(good, delivered=500)
    for person in members(talk(ALICE, BOB)):
        to_person(number, person, lost=LEAST // 2)

    assert quarantined() == [number]


def test_a_few_failures_of_another_person_do_not_confirm_an_outlier(numbers):
    number, good, _ = numbers
    alice, bob = members(talk(ALICE, BOB))
    receipts(good, delivered=500)
    to_person(number, alice, lost=60)
    to_person(number, bob, lost=LEAST // 2 - 1)

    assert quarantined() == []


def test_an_unreachable_phone_on_another_network_is_no_excuse(numbers):
    number, good, _ = numbers
    alice, bob = members(talk(ALICE, BOB))
    charlie = members(talk(CHARLIE, BOB))[0]
    receipts(good, delivered=500)
    to_person(number, alice, lost=500, network=ANOTHER)
    for person in (bob, charlie):
        to_person(number, person, lost=LEAST)

    assert quarantined() == [number]


def test_the_excluded_person_is_the_one_with_most_failures_not_most_receipts(numbers):
    """The person with the most receipts is not the person with the most failures."""
    number, good, _ = numbers
    alice, bob = members(talk(ALICE, BOB))
    receipts(good, delivered=500)
    to_person(number, alice, delivered=100)
    to_person(number, bob, lost=60)

    assert quarantined() == []

"""Number health: a number whose SMS fail far more often than the others' gets no new conversations."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from conversations.delivery.relay import Relay
from conversations.models import DeliveryReceipt, OutboundMessage
from conversations.worker import periodic_jobs
from conversations.worker.periodic_jobs import throttled
from numbers.health import Health, measure, quarantine_outliers
from numbers.models import NumberEvent, NumberState, VirtualNumber
from smsproxy.carriers.base import Feature, NumberType, ReceiptStatus
from smsproxy.simulator.carrier import SimulatorCarrier
from smsproxy.simulator.models import FaultKind, SimulatedFault, Verb
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, proxies, talk
from tests.support.outbox import later, queue

LEAST, THRESHOLD, WINDOW = 20, 30, 6 * 3600
NETWORK, ANOTHER = "23410", "23415"


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.HEALTH_MIN_RECEIPTS, settings.HEALTH_MAX_FAILURE_PERCENT, settings.HEALTH_WINDOW_SECONDS = (
        LEAST,
        THRESHOLD,
        WINDOW,
    )


@pytest.fixture
def numbers(db):
    """Return three numbers, in service since yesterday."""
    rows = add_numbers(3)
    yesterday = timezone.now() - timedelta(days=1)
    NumberEvent.objects.bulk_create(
        NumberEvent(number=row, old_state="configuring", new_state="active", created_at=yesterday) for row in rows
    )
    return rows


def receipts(number, *, delivered=0, lost=0, network=NETWORK, code="1", status=None):
    """Store delivery receipts for SMS from a number, received now."""
    words = [(status or ReceiptStatus.DELIVERED, "")] * delivered + [(ReceiptStatus.UNDELIVERED, code)] * lost
    first = DeliveryReceipt.objects.count()
    DeliveryReceipt.objects.bulk_create(
        DeliveryReceipt(
            carrier_message_id=f"{first + place}",
            status=word,
            error_code=error_code,
            virtual_number=number,
            network=network,
        )
        for place, (word, error_code) in enumerate(words)
    )


def quarantined():
    quarantine_outliers()
    return list(VirtualNumber.objects.filter(state=NumberState.QUARANTINED))


def to_person(number, person, *, delivered=0, lost=0, network=NETWORK):
    """Store delivery receipts for SMS from a number to this participant."""
    before = DeliveryReceipt.objects.latest("pk").pk if DeliveryReceipt.objects.exists() else 0
    receipts(number, delivered=delivered, lost=lost, network=network)
    [message] = queue(person, "Hello")
    DeliveryReceipt.objects.filter(pk__gt=before).update(message=message)


# Outliers -------------------------------------------------------------------------------------------------------------


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


# The window -----------------------------------------------------------------------------------------------------------


def test_receipts_older_than_the_window_do_not_count(numbers, time_machine):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    later(time_machine, WINDOW + 60)
    receipts(bad, delivered=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == []
    assert {(each.sent, each.lost) for each in measure()} == {(LEAST, 0)}


def test_receipts_within_the_window_are_added_up(numbers, time_machine):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST // 2)
    later(time_machine, WINDOW - 60)
    receipts(bad, lost=LEAST // 2)
    receipts(good, delivered=LEAST)

    assert quarantined() == [bad]


def test_a_window_of_0_disables_the_health_check(numbers, settings, time_machine):
    settings.HEALTH_WINDOW_SECONDS = 0
    time_machine.move_to(timezone.now(), tick=False)
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == []


def test_a_restored_number_is_judged_only_by_later_receipts(numbers, time_machine):
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)
    assert quarantined() == [bad]
    later(time_machine, 60)
    quarantined()[0].restore(reason="by staff")

    assert quarantined() == []
    later(time_machine, 60)
    receipts(bad, lost=LEAST - 1)
    assert quarantined() == []
    receipts(bad, lost=1)
    assert quarantined() == [bad]


def test_a_reconfigured_number_is_judged_by_the_whole_window(numbers, time_machine):
    """A new configuration is an event without a change of state."""
    bad, good, _ = numbers
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)
    later(time_machine, 60)
    bad.record_event(bad.state, old_state=bad.state, reason="pointed at our webhook")

    assert quarantined() == [bad]


def test_failures_of_a_restored_number_do_not_hide_another_outlier(numbers, time_machine):
    """Otherwise the whole network would seem to fail, and the failing number would go unnoticed."""
    restored, bad, good = numbers
    receipts(restored, lost=500)
    restored.quarantine(reason="for the test")
    later(time_machine, 60)
    restored.restore(reason="by staff")
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)

    assert quarantined() == [bad]


def test_the_health_check_is_a_periodic_job():
    assert "quarantine_outliers" in [each.__name__ for each in periodic_jobs.JOBS]


def test_a_throttled_job_runs_once_per_interval():
    clock, done = [100.0], []
    job = throttled(300, lambda: done.append(clock[0]) or 7, clock=lambda: clock[0])

    found = []
    for clock[0] in (100, 101, 399, 400, 401, 700):
        found.append(job())

    assert done == [100, 400, 700]
    assert found == [7, 0, 0, 7, 0, 7]


def test_a_failed_throttled_job_waits_for_its_next_interval():
    clock = [0.0]

    def fail():
        raise RuntimeError

    job = throttled(300, fail, clock=lambda: clock[0])

    with pytest.raises(RuntimeError):
        job()
    assert job() == 0


# End to end -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_number_whose_messages_the_network_loses_gets_no_new_conversations(settings):
    """Run on the simulated network, which delivers receipts through the signed webhook."""
    settings.HEALTH_MIN_RECEIPTS = 6
    carrier = SimulatorCarrier()
    numbers = []
    for index in range(3):
        carrier.buy(f"+4477009001{index:02}", "GB")
        carrier.configure(f"+4477009001{index:02}", "GB", inbound_sms_url())
        number = VirtualNumber.of(
            f"+4477009001{index:02}", "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE
        )
        number.save()
        numbers.append(number)
    bad, *good = numbers
    people = members(talk(ALICE, BOB))

    for sender in numbers:
        if sender == bad:
            SimulatedFault.objects.create(verb=Verb.SEND, kind=FaultKind.UNDELIVERED, remaining=12)
        texts = [text for person in people for text in queue(person, *"123456")]
        OutboundMessage.objects.filter(pk__in=[each.pk for each in texts]).update(sender=sender)
        Relay().send_due()

    assert quarantined() == [bad]
    assert bad.events.first().reason.startswith("on network 23410, 12 of 12 SMS")
    assert set(proxies(talk(CHARLIE, STRANGER))) <= {number.number for number in good}


# The admin ------------------------------------------------------------------------------------------------------------


def list_of_numbers(client, **filters):
    return client.get(reverse("admin:numbers_virtualnumber_changelist"), filters)


def page_of(client, number):
    return client.get(reverse("admin:numbers_virtualnumber_change", args=[number.pk])).content.decode()


def test_a_number_page_compares_each_network_with_the_other_numbers(admin_client, numbers):
    bad, good, _ = numbers
    receipts(bad, delivered=11, lost=14)
    receipts(bad, delivered=5, network=ANOTHER)
    receipts(good, delivered=97, lost=3)

    page = page_of(admin_client, bad)

    assert "<tr><td>23410</td><td>25</td><td>14</td><td>56%</td><td>3%</td></tr>" in page
    assert "<tr><td>23415</td><td>5</td><td>0</td><td>0%</td><td>–</td></tr>" in page


def test_the_page_of_a_quarantined_number_says_why_and_since_when(admin_client, numbers, time_machine):
    bad, good, _ = numbers
    now = timezone.now()
    time_machine.move_to(now, tick=False)
    receipts(bad, lost=LEAST)
    receipts(good, delivered=LEAST)
    quarantine_outliers()
    time_machine.shift(3600)

    page = page_of(admin_client, bad)

    assert f"since {now:%Y-%m-%d %H:%M} UTC: on network 23410, 20 of 20 SMS within 6 h" in page
    assert f"since {now:%Y}" not in page_of(admin_client, good)
    assert '<div class="readonly">None</div>' not in page_of(admin_client, good)


def test_a_page_without_receipts_says_so(admin_client, numbers, settings):
    assert "no delivery receipts within 6 h" in page_of(admin_client, numbers[0])
    settings.HEALTH_WINDOW_SECONDS = 90 * 60
    assert "no delivery receipts within 90 min" in page_of(admin_client, numbers[0])
    settings.HEALTH_WINDOW_SECONDS = 0
    assert "HEALTH_WINDOW_SECONDS is 0" in page_of(admin_client, numbers[0])


def test_the_list_shows_the_worst_failure_share_of_each_number(admin_client, numbers):
    bad, good, _ = numbers
    receipts(bad, delivered=11, lost=14)
    receipts(bad, lost=1, network=ANOTHER)  # A share of one SMS is meaningless.
    receipts(good, delivered=97, lost=3)

    page = list_of_numbers(admin_client).content.decode()

    assert "56% of 25" in page
    assert "3% of 100" in page
    assert "100% of 1" not in page


def test_the_list_reads_the_health_of_all_numbers_once(admin_client, numbers):
    for number in numbers:
        receipts(number, delivered=3, lost=3)

    with CaptureQueriesContext(connection) as queries:
        assert list_of_numbers(admin_client).content.count(b"50% of 6") == 3

    assert len([each for each in queries if "deliveryreceipt" in each["sql"]]) == 1

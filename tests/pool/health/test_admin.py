"""The health of numbers on their pages and in their list."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from numbers.health import quarantine_outliers
from tests.support.number_health import ANOTHER, LEAST, receipts


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

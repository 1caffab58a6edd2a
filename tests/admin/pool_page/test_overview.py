"""The pool at a glance: figures of each pool and country, and a bar for each number."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from numbers.assignment.level import measure_levels
from numbers.models import NumberState, Pool, VirtualNumber
from numbers.usage import cooling_pair_counts
from tests.support.builders import ALICE, BOB, CHARLIE, add_number, add_numbers, talk
from tests.support.number_health import receipts

pytestmark = pytest.mark.django_db

POOL = "/admin/pool/"


def rows_of(client, **query):
    return [row.number.number for row in client.get(POOL, query).context["rows"]]


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_an_empty_pool_says_to_buy_numbers_first(staff):
    page = staff().get(POOL).text

    assert "The pool is empty" in page
    assert reverse("admin:pool_buy") in page


def test_an_empty_pool_sends_staff_who_may_not_buy_to_operations(staff):
    page = staff("view_virtualnumber").get(POOL).text

    assert "Ask a colleague of operations" in page
    assert reverse("admin:pool_buy") not in page


def test_the_page_is_refused_without_the_right_to_see_numbers(staff):
    assert staff("view_conversation").get(POOL).status_code == 403


def test_each_pool_and_country_shows_its_numbers_by_state_its_rent_and_what_is_free(staff):
    berlin = Pool.objects.create(name="berlin", number_cap=40)
    add_numbers(3)
    VirtualNumber.objects.update(monthly_cost="1.25")
    add_number("+4915735980001", NumberState.QUARANTINED, "DE", pool=berlin, is_rented=True)
    talk(ALICE, BOB)
    measure_levels()

    common, german = staff().get(POOL).context["places"]

    assert (common.name, common.counts["active"], common.live, str(common.rent)) == ("common · GB", 3, 2, "3.75")
    assert (common.level.free, common.grade) == (2, "good")
    assert (german.name, german.counts["quarantined"], german.cap, german.unpriced) == ("berlin · DE", 1, 40, 1)


def test_what_was_free_before_numbers_were_added_is_not_shown_as_the_present_state(staff):
    add_numbers(1)
    measure_levels()
    add_number("+447700900600", NumberState.ACTIVE)
    client = staff()

    page = words(client.get(POOL).text)
    assert "numbers were added since" in page
    assert 'class="state good"' not in client.get(POOL).text
    measure_levels()

    assert "numbers were added since" not in words(client.get(POOL).text)


def test_a_bar_shows_cooling_pairs_apart_from_open_ones(staff, settings):
    settings.NUMBER_CAP = 40
    add_numbers(1)
    add_numbers(1, start="+4477009006")
    talk(ALICE, BOB).close(reason="done")
    client = staff()

    [row, _] = client.get(POOL).context["rows"]

    assert (row.bar.open, row.bar.cooling, row.bar.cap) == (0, 1, 40)
    assert (row.bar.open_width, row.bar.cooling_width) == (0, 25)
    assert "0 open, 1 cooling, of 40" in words(client.get(POOL).text)


def test_without_a_cap_bars_are_scaled_to_the_fullest_number(staff):
    first, second = add_numbers(2)
    VirtualNumber.objects.filter(pk=first.pk).update(live_pair_count=8)
    VirtualNumber.objects.filter(pk=second.pk).update(live_pair_count=2)

    full, quarter = staff().get(POOL).context["rows"]

    assert (full.number, full.bar.open_width) == (first, 1000)
    assert (quarter.number, quarter.bar.open_width) == (second, 250)


def test_the_fullest_number_comes_first_measured_by_the_cap_of_its_pool(staff):
    small = Pool.objects.create(name="small", number_cap=4)
    busy, almost_full = add_numbers(2)
    VirtualNumber.objects.filter(pk=busy.pk).update(live_pair_count=10)
    VirtualNumber.objects.filter(pk=almost_full.pk).update(live_pair_count=3, pool=small)
    client = staff()

    assert rows_of(client, sort="number") == [busy.number, almost_full.number]
    assert rows_of(client, sort="fullest") == [busy.number, almost_full.number]
    VirtualNumber.objects.filter(pk=almost_full.pk).update(live_pair_count=4)
    assert client.get(POOL).context["rows"][1].bar.is_full


def test_a_number_that_loses_texts_comes_first_and_is_named_failing(staff, settings):
    settings.HEALTH_MIN_RECEIPTS = 10
    fine, failing = add_numbers(2)
    VirtualNumber.objects.filter(pk=fine.pk).update(live_pair_count=5)
    receipts(fine, delivered=20)
    receipts(failing, lost=20)
    client = staff()

    assert rows_of(client) == [failing.number, fine.number]
    assert "failing 100% of 20" in words(client.get(POOL).text)


def test_a_number_that_is_not_ours_does_not_stay_in_the_address(staff):
    add_numbers(2)

    assert staff().get(POOL, {"q": "+447700900001", "country": "GB"}).url == f"{POOL}?country=GB"


def test_numbers_are_found_by_their_number_state_pool_and_country(staff):
    berlin = Pool.objects.create(name="berlin")
    ours, spare = add_numbers(2)
    german = add_number("+4915735980001", NumberState.DRAINING, "DE", pool=berlin)
    client = staff()

    assert rows_of(client, q=ours.number) == [ours.number]
    assert rows_of(client, q="0049 1573 5980001"[2:]) == [german.number]
    assert rows_of(client, q="501") == [spare.number]
    assert rows_of(client, state="draining") == rows_of(client, country="DE") == rows_of(client, pool=berlin.pk)
    assert rows_of(client, pool="common", sort="number") == [ours.number, spare.number]
    assert "No number has these properties" in client.get(POOL, {"q": "999"}).text
    assert client.get(POOL, {"pool": "x", "state": "y", "page": "-1", "sort": "z"}).status_code == 200


def test_a_retired_number_is_shown_only_while_it_costs_money(staff):
    add_number("+447700900500", NumberState.RETIRED, is_rented=True)
    add_number("+447700900501", NumberState.RETIRED)
    client = staff()

    assert rows_of(client) == ["+447700900500"]
    assert rows_of(client, state="retired", sort="number") == ["+447700900500", "+447700900501"]


def test_the_page_takes_as_many_queries_for_fifty_numbers_as_for_two(staff):
    add_numbers(2)
    client = staff()
    client.get(POOL)
    with CaptureQueriesContext(connection) as few:
        client.get(POOL)
    add_numbers(100, start="+4477009006")
    with CaptureQueriesContext(connection) as many:
        shown = client.get(POOL)

    assert len(few) == len(many) <= 12
    assert len(shown.context["rows"]) == 50
    assert "page=2" in shown.context["next"]
    assert len(client.get(POOL, {"page": 3}).context["rows"]) == 2


def test_cooling_pairs_are_counted_by_number():
    one, two = add_numbers(2)
    talk(ALICE, BOB).close(reason="done")
    talk(CHARLIE, BOB)

    counts = cooling_pair_counts([one, two])

    assert sum(counts.values()) == 2
    assert cooling_pair_counts([]) == {}


def test_the_links_to_the_rest_of_the_pool_say_what_they_are_for(admin_client):
    page = admin_client.get(POOL).text

    for words in ("Fill itself", "Shortages", "Orders", "Import from a file", "Export to a file"):
        assert words in page


def test_the_door_named_pool_leads_to_the_page(staff):
    page = staff().get(POOL).text

    assert f'<a href="{POOL}" aria-current="page">Pool</a>' in page

"""GET /metrics: the figures for Prometheus."""

from datetime import timedelta
from decimal import Decimal
from time import time

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from conversations.lifecycle.request import NoNumberFree
from conversations.models import AccountRateLimit, Worker
from conversations.monitoring import sending
from conversations.retention.delete_rows import delete_batch
from conversations.retention.rules import RULES
from numbers.models import NumberState, Pool, RealNumber, Shortage, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.outbox import later, queue
from tests.support.scraping import URL, of

pytestmark = pytest.mark.django_db


def test_an_empty_deployment_has_no_trouble(scrape):
    found = scrape()

    assert found[of("messages_queued")] == found[of("workers_alive")] == found[of("account_paused")] == 0
    assert found[of("oldest_queued_message_age_seconds")] == 0
    assert {value for (name, *_), value in found.items() if name == "smsproxy_trouble"} == {0}


def test_people_who_have_opted_out_are_counted(scrape):
    assert scrape()[of("opted_out_people")] == 0
    people = RealNumber.objects.get_or_create_many([ALICE, BOB, CHARLIE])

    people[ALICE].opt_out(reason="texted STOP")
    people[BOB].opt_out(reason="texted STOP").opt_in(reason="texted START")

    assert scrape()[of("opted_out_people")] == 1


def test_numbers_live_pairs_and_costs_are_reported_by_pool_country_and_state(scrape):
    pool = Pool.objects.create(name="common")  # The common pool has no name, so no named pool can be mistaken for it.
    add_numbers(3)
    add_numbers(2, "US", start="+1212555010")
    VirtualNumber.objects.filter(country="US").update(pool=pool)
    VirtualNumber.objects.update(monthly_cost=Decimal("1.25"))
    last = VirtualNumber.objects.filter(country="GB").last()
    talk(ALICE, BOB)
    VirtualNumber.objects.filter(pk=last.pk).update(state=NumberState.RETIRED, is_rented=False)

    found = scrape()

    assert found[of("numbers", pool="", country="GB", state="active")] == 2
    assert found[of("numbers", pool="", country="GB", state="retired")] == 1
    assert found[of("numbers", pool="common", country="US", state="active")] == 2
    assert found[of("live_pairs", pool="", country="GB")] == 2
    assert found[of("live_pairs", pool="common", country="US")] == 0
    assert found[of("rented_monthly_cost_euros", pool="", country="GB")] == 2.5
    assert found[of("rented_monthly_cost_euros", pool="common", country="US")] == 2.5


def test_a_number_of_unknown_cost_adds_nothing_to_the_monthly_cost(scrape):
    add_numbers(1)

    assert scrape()[of("rented_monthly_cost_euros", pool="", country="GB")] == 0


def test_every_shortage_is_counted(scrape):
    pool = Pool.objects.create(name="berlin")
    add_numbers(1)
    talk(ALICE, BOB)
    for _ in range(2):
        with pytest.raises(NoNumberFree):
            talk(ALICE, CHARLIE)
    with pytest.raises(NoNumberFree):
        talk(ALICE, BOB, pool=pool)

    found = scrape()

    assert found[of("shortages_total", pool="", country="GB")] == 2
    assert found[of("shortages_total", pool="berlin", country="GB")] == 1


def test_the_shortage_counter_never_decreases_when_old_rows_are_deleted(scrape, time_machine):
    for days in (0, 91):
        later(time_machine, days * 24 * 3600)
        with pytest.raises(NoNumberFree):
            talk(ALICE, BOB)

    for rule in RULES:
        delete_batch(rule)

    assert Shortage.objects.count() == 1
    assert scrape()[of("shortages_total", pool="", country="GB")] == 2


def test_the_queue_is_reported_with_its_length_and_oldest_age(scrape, bob, time_machine):
    queue(bob, "one", "two", "three")
    later(time_machine, 90)
    Worker.objects.create(name="host-a", concurrency=20, in_flight=0)
    Worker.objects.create(name="host-b", concurrency=20, in_flight=0, seen_at=timezone.now() - timedelta(hours=1))

    found = scrape()

    assert found[of("messages_queued")] == found[of("messages_ready")] == 3
    assert (
        found[of("messages_in_flight")] == found[of("messages_unknown")] == found[of("messages_awaiting_decision")] == 0
    )
    assert found[of("oldest_queued_message_age_seconds")] == pytest.approx(90, abs=20)
    assert found[of("workers_alive")] == 1


def test_each_kind_of_trouble_is_reported_as_0_or_1(scrape, bob):
    queue(bob, "one")
    AccountRateLimit.pause("the account has no credit", 60)

    found = scrape()

    assert found[of("account_paused")] == 1
    assert found[of("trouble", kind="paused", severity="critical")] == 1
    assert found[of("trouble", kind="no_worker", severity="critical")] == 1
    assert found[of("trouble", kind="undecided", severity="warning")] == 0
    assert found[of("trouble", kind="quarantined", severity="warning")] == 0
    assert of("trouble_began_timestamp_seconds", kind="quarantined") not in found
    assert found[of("trouble_began_timestamp_seconds", kind="paused")] == pytest.approx(time(), abs=60)


def test_metrics_contain_no_real_number_and_no_text(api, bob):
    queue(bob, "meet me at the old lighthouse")
    with pytest.raises(NoNumberFree):
        [talk(ALICE, f"+4477007{index:05}") for index in range(4)]

    content = api.get(URL).content.decode()

    assert "smsproxy_shortages_total" in content
    assert "7700" not in content
    assert "lighthouse" not in content


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", text_string_to_metric_families),
        ("text/plain;version=0.0.4", "text/plain", text_string_to_metric_families),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text", None),
    ],
)
def test_both_prometheus_formats_are_supported(api, accept, content_type, parse):
    add_numbers(1)

    answer = api.get(URL, headers={"Accept": accept})

    assert answer["Content-Type"].startswith(content_type)
    parse = parse or openmetrics.text_string_to_metric_families
    assert "smsproxy_numbers" in {family.name for family in parse(answer.content.decode())}


def test_a_scrape_takes_the_same_number_of_queries_for_any_pool_size(api):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            api.get(URL)
        return len(captured)

    counts = []
    for index in range(3):
        pool = Pool.objects.create(name=f"pool-{index}")
        add_numbers(5, start=f"+447700{index}00")
        VirtualNumber.objects.filter(pool=None).update(pool=pool)
        with pytest.raises(NoNumberFree):
            [talk(ALICE, f"+4477007{each:05}", pool=pool) for each in range(6)]
        counts.append(queries())

    assert len(set(counts[1:])) == 1  # The first scrape stores that there are shortages.
    assert counts[1] < 40


def test_metrics_require_a_key(client):
    answer = client.get(URL)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert b"smsproxy_" not in answer.content


def test_a_scrape_without_the_database_is_a_503_without_partial_figures(api, monkeypatch):
    def fail():
        raise OperationalError("connection to +447700900001 refused")

    monkeypatch.setattr(sending, "collect_status", fail)

    answer = api.get(URL)

    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert b"smsproxy_" not in answer.content
    assert b"447700900001" not in answer.content


def test_an_invalid_version_in_the_accept_header_gets_the_plain_format(api):
    answer = api.get("/metrics", HTTP_ACCEPT="text/plain; version=abc")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")

"""A web host with a wrong clock says so, and answers 503 until the clock is right."""

import json
from threading import Barrier

import pytest
from django.db import OperationalError, connection

from conversations import clock_guard
from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Trouble
from conversations.models import HostClock, InboundMessage
from conversations.worker.periodic_jobs import forget_dead_workers
from smsproxy.database.clock import database_now
from tests.support.builders import add_numbers
from tests.support.concurrency import at_once
from tests.support.demo_process import ROOT
from tests.support.gunicorn_process import Gunicorn
from tests.support.outbox import later
from tests.support.relay_process import url_of_the_test
from tests.support.signing import signed_inbound
from tests.support.troubles import active_troubles

INBOUND = "/webhooks/vonage/inbound-sms"
CONVERSATIONS = "/api/v1/conversations/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def guard(monkeypatch):
    """Return the guard in use: one that has measured nothing yet."""
    guard = clock_guard.ClockGuard()
    monkeypatch.setattr(clock_guard, "guard", guard)
    return guard


@pytest.fixture
def wait(monkeypatch):
    """Return a function that lets seconds pass for the guard."""
    passed = [0.0]
    monkeypatch.setattr(clock_guard, "monotonic", lambda: passed[0])
    return lambda seconds: passed.__setitem__(0, passed[0] + seconds)


def post_text(client):
    return client.post(INBOUND, json.dumps(signed_inbound()), "application/json")


@pytest.mark.postgres
@pytest.mark.parametrize("seconds", [600, -600])
def test_a_host_with_a_wrong_clock_answers_503_and_says_why(client, api, guard, shift_host, caplog, seconds):
    add_numbers(1)
    shift_host(seconds)

    refused, problem = post_text(client), api.get(CONVERSATIONS)

    assert refused.status_code == problem.status_code == 503
    assert refused["Retry-After"] == problem["Retry-After"] == "5"
    assert problem["Content-Type"] == "application/problem+json"
    assert problem.json()["code"] == "clock_wrong"
    assert InboundMessage.objects.count() == 0
    [line] = [record.getMessage() for record in caplog.records if record.name == clock_guard.__name__]
    direction = "ahead of" if seconds > 0 else "behind"
    assert f"its clock is 600 s {direction} that of the database. Synchronise it" in line


@pytest.mark.postgres
def test_a_host_recovers_by_itself_when_its_clock_is_right_again(client, guard, wait, shift_host, caplog):
    shift_host(600)
    assert post_text(client).status_code == 503

    shift_host(0)
    wait(4)
    assert post_text(client).status_code == 503
    wait(1)

    assert post_text(client).status_code == 200
    assert "right again" in caplog.text


@pytest.mark.postgres
def test_the_clock_is_measured_once_a_minute(client, guard, wait, shift_host):
    assert post_text(client).status_code == 200
    shift_host(600)

    wait(59)
    assert post_text(client).status_code == 200
    wait(1)
    assert post_text(client).status_code == 503


@pytest.mark.postgres
@pytest.mark.parametrize(("seconds", "is_trouble"), [(1.5, False), (2.5, True), (-29, True)])
def test_a_clock_more_than_two_seconds_off_is_a_trouble_but_serves_up_to_thirty(
    client, guard, shift_host, seconds, is_trouble
):
    shift_host(seconds)

    assert post_text(client).status_code == 200

    [clock] = collect_status().clocks
    assert clock.skew == pytest.approx(seconds, abs=0.4)
    assert (Trouble.CLOCK in active_troubles()) is is_trouble


@pytest.mark.postgres
def test_people_see_the_wrong_clock_and_what_to_do(client, api, admin_client, guard, shift_host, run):
    shift_host(600)
    post_text(client)
    host = HostClock.objects.get().host

    told = f"The clock of {host} is 600 s ahead of that of the database."
    assert told in admin_client.get("/admin/").content.decode()
    assert told in str(run("relay", "--status"))
    metrics = api.get("/metrics").content.decode()
    assert 'smsproxy_trouble{kind="clock",severity="critical"} 1.0' in metrics
    assert f'smsproxy_clock_skew_seconds{{host="{host}"}} ' in metrics
    assert host in admin_client.get("/admin/conversations/hostclock/").content.decode()


@pytest.mark.postgres
def test_a_host_that_is_gone_is_no_trouble_and_is_forgotten_after_a_day(guard, shift_host, time_machine):
    HostClock.objects.create(host="web-1", skew_seconds=600, measured_at=database_now())
    assert Trouble.CLOCK in active_troubles()

    later(time_machine, 601)
    assert Trouble.CLOCK not in active_troubles()
    later(time_machine, 24 * 3600)
    assert forget_dead_workers() == 1


def test_a_text_is_stored_though_no_worker_runs_and_troubles_cannot_be_looked_for(client, guard, monkeypatch):
    add_numbers(1)

    def fail():
        raise ValueError

    monkeypatch.setattr(current, "collect_status", fail)

    assert post_text(client).status_code == 200
    assert InboundMessage.objects.count() == 1


def test_a_database_that_does_not_answer_is_no_wrong_clock(guard, wait, monkeypatch):
    measured = []

    def fail(self):
        measured.append(1)
        raise OperationalError

    monkeypatch.setattr(clock_guard.ClockGuard, "_report", fail)

    assert not guard.is_wrong()
    assert not guard.is_wrong()
    wait(5)
    assert not guard.is_wrong()
    assert len(measured) == 2


def test_the_first_threads_wait_for_one_measurement(guard, monkeypatch):
    measured, all_here = [], Barrier(4)

    def measure(self):
        measured.append(1)
        self.skew = 31.0

    monkeypatch.setattr(clock_guard, "run_with_deadline", lambda work, seconds: work())
    monkeypatch.setattr(clock_guard.ClockGuard, "_report", measure)

    def ask(_):
        all_here.wait(60)
        return guard.is_wrong()

    assert at_once(4, ask) == [True] * 4
    assert len(measured) == 1


def test_a_sqlite_database_has_the_clock_of_its_host(client, guard, shift_host):
    shift_host(600)

    assert post_text(client).status_code == (503 if connection.vendor == "postgresql" else 200)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.xdist_group("servers")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (600, 503)])
def test_the_web_server_of_a_host_ten_minutes_ahead_answers_503(tmp_path, seconds, status):
    add_numbers(1)
    server = Gunicorn(tmp_path)
    server.environment |= {
        "DATABASE_URL": url_of_the_test(),
        "PYTHONPATH": str(ROOT / "tests" / "support" / "host_ahead"),
        "SECONDS_AHEAD": str(seconds),
    }
    body = json.dumps(signed_inbound()).encode()
    head = f"POST {INBOUND} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"

    with server:
        answer = server.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body)

    assert answer.startswith(f"HTTP/1.1 {status}".encode())
    assert ("its clock is 600 s ahead of that of the database" in server.log) is (status == 503)

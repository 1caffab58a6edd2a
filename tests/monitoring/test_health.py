"""What load balancers and containers ask: does this process serve requests, and does a worker live here?"""

import socket
from datetime import timedelta

import psycopg
import pytest
from django.core.checks import Error
from django.db import OperationalError
from django.utils import timezone

from conversations.insight.troubles import current
from conversations.insight.troubles.traffic import MIN_REFUSED
from conversations.models import AccountRateLimit, RejectedWebhook, Worker
from conversations.monitoring import health
from smsproxy.checks import TAG
from smsproxy.database import deadline, migrations
from smsproxy.version import VERSION
from tests.support.outbox import later
from tests.support.relay_process import url_of_the_test


@pytest.fixture(autouse=True)
def _fresh_answers(monkeypatch):
    monkeypatch.setattr(health, "readiness", health.Readiness())


@pytest.fixture
def ask(client):
    """Return a function that asks as a load balancer does: by an address that ALLOWED_HOSTS lacks, without a key."""
    return lambda path: client.get(path, headers={"Host": "10.0.0.7:8000"})


@pytest.fixture
def no_database(monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("connection to server at 10.1.2.3 failed")

    monkeypatch.setattr(health, "run_with_deadline", fail)


class TestLivez:
    def test_says_the_version(self, ask):
        answer = ask("/livez")

        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": VERSION})

    def test_needs_no_database(self, ask, no_database):
        assert ask("/livez").status_code == 200

    def test_takes_no_post(self, client):
        assert client.post("/livez").status_code == 405

    def test_an_address_that_only_begins_like_it_is_not_found(self, client):
        assert client.get("/livezz").status_code == 404


@pytest.mark.django_db
class TestReadyz:
    def test_refused_webhooks_are_noticed_without_waiting_for_a_worker(self, ask):
        RejectedWebhook.objects.add("inbound-sms", "wrong", MIN_REFUSED)

        assert [trouble["id"] for trouble in ask("/readyz").json()["troubles"]] == ["webhooks_refused"]

    def test_a_process_with_its_database_is_ready(self, ask):
        answer = ask("/readyz")

        assert answer.status_code == 200
        assert answer.json() == {"status": "ready", "version": VERSION, "reasons": [], "troubles": []}
        assert answer["Cache-Control"] == "no-store"

    def test_without_the_database_it_answers_503_and_shows_no_address(self, ask, no_database):
        answer = ask("/readyz")

        assert answer.status_code == 503
        assert [reason["id"] for reason in answer.json()["reasons"]] == ["database"]
        assert "10.1.2.3" not in answer.content.decode()

    def test_troubles_that_cannot_be_looked_for_leave_it_ready(self, ask, monkeypatch, caplog):
        def fail():
            raise ValueError("+447700900001")

        monkeypatch.setattr(current, "collect_status", fail)

        assert ask("/readyz").status_code == 200
        assert "troubles could not be looked for: ValueError; trying again" in caplog.messages

    def test_while_one_thread_looks_the_others_get_the_last_answer(self, ask, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(health, "monotonic", lambda: now[0])
        ask("/readyz")
        now[0] += 6
        others = []
        monkeypatch.setattr(current, "look_briefly", lambda: others.append(health.readiness.look()))

        ask("/readyz")

        assert others == [([], [])]

    def test_a_missing_migration_makes_it_unready(self, ask, monkeypatch):
        expected = migrations._of_code() | {("conversations", "9999_of_tomorrow")}
        monkeypatch.setattr(migrations, "_of_code", lambda: expected)

        answer = ask("/readyz")

        assert answer.status_code == 503
        assert [reason["id"] for reason in answer.json()["reasons"]] == ["migrations"]

    def test_a_migration_of_newer_code_is_a_trouble_and_leaves_it_ready(self, ask, monkeypatch):
        expected = migrations._of_code() - {("conversations", "0009_troubles")}
        monkeypatch.setattr(migrations, "_of_code", lambda: expected)

        answer = ask("/readyz")

        assert answer.status_code == 200
        assert [trouble["id"] for trouble in answer.json()["troubles"]] == ["migrations"]
        assert "does not know: conversations.0009_troubles" in migrations.describe_difference()

    def test_a_wrong_setting_makes_it_unready(self, ask, monkeypatch):
        def wrong(app_configs, **kwargs):
            return [Error("SECRET is sesame", id="smsproxy.E999")]

        monkeypatch.setattr(health, "run_checks", lambda tags: wrong(None) if tags == [TAG] else [])

        answer = ask("/readyz")

        assert answer.status_code == 503
        assert [reason["id"] for reason in answer.json()["reasons"]] == ["smsproxy.E999"]
        assert "sesame" not in answer.content.decode()

    def test_a_trouble_alone_leaves_it_ready_and_shows_no_details(self, ask):
        AccountRateLimit.pause("the account abcd1234 has no credit", 60, code="9")

        answer = ask("/readyz")

        [trouble] = answer.json()["troubles"]
        assert answer.status_code == 200
        assert (trouble["id"], trouble["message"]) == ("paused", "All sending is paused.")
        assert "abcd1234" not in answer.content.decode()

    def test_many_questions_cost_the_database_one_look(self, ask, django_assert_num_queries):
        ask("/readyz")

        with django_assert_num_queries(0):
            assert [ask("/readyz").status_code for _ in range(20)] == [200] * 20

    def test_becoming_unready_and_ready_is_logged_once_each(self, ask, monkeypatch, caplog):
        now = [0.0]
        monkeypatch.setattr(health, "monotonic", lambda: now[0])
        answers = iter([OperationalError(), OperationalError(), None, None])

        def run(work, *, seconds):
            if error := next(answers):
                raise error

        monkeypatch.setattr(health, "run_with_deadline", run)
        codes = []
        for _ in range(4):
            codes.append(ask("/readyz").status_code)
            now[0] += 6

        lines = [record.getMessage() for record in caplog.records if record.name == health.__name__]
        assert codes == [503, 503, 200, 200]
        assert lines[0].startswith("this process is not ready to serve requests: database")
        assert lines[1:] == ["this process is ready again"]
        assert "django.request" not in [record.name for record in caplog.records]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_locked_table_that_no_request_needs_leaves_the_process_ready(ask):
    with psycopg.connect(url_of_the_test()) as other:
        other.execute("LOCK TABLE numbers_topup")

        assert ask("/readyz").status_code == 200

    # Requests of other threads do not take it for an outage of the database.
    assert deadline._next_trial is None


@pytest.mark.django_db
class TestHealthcheckOfAWorker:
    def create(self, host):
        return Worker.objects.create(name=f"{host}, process 1 (9f2e)", concurrency=20)

    def test_a_recent_heartbeat_of_this_host_is_healthy(self, run):
        self.create(socket.gethostname())

        assert run("relay", "--healthcheck")[0] == 0

    def test_a_silent_worker_is_not(self, run):
        worker = self.create(socket.gethostname())
        Worker.objects.filter(pk=worker.pk).update(seen_at=timezone.now() - timedelta(seconds=21))

        code, output = run("relay", "--healthcheck")

        assert code == 1
        assert "had a heartbeat in the last 20 s" in output

    def test_a_worker_of_another_host_does_not_count(self, run, time_machine):
        self.create(f"{socket.gethostname()}-2")
        later(time_machine, 1)

        assert run("relay", "--healthcheck")[0] == 1

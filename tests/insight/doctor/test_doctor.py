"""`manage.py doctor`: the order and the needs of its checks, what it prints, and that it keeps secrets."""

import io
import json

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor

from conversations.insight.collect_status import collect_status
from conversations.insight.doctor import examine, installation, site
from conversations.insight.doctor.result import Verdict, failed, ok, skipped, warning
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Trouble
from conversations.insight.troubles.traffic import MIN_REFUSED
from conversations.models import DeliveryReceipt, WebhookWatch
from smsproxy.database.clock import database_now
from smsproxy.simulator.carrier import SimulatorCarrier

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_site(monkeypatch):
    """Replace what asks the site: nothing listens at the PUBLIC_URL of the tests."""
    for name in [name for name in vars(site) if name.startswith("check_")]:
        monkeypatch.setattr(site, name, lambda: ok("asked"))


def with_checks(monkeypatch, *checks):
    monkeypatch.setattr(examine, "checks", lambda is_paid: list(checks))


def run(*arguments):
    out = io.StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), ""


def test_the_results_are_a_table_with_the_fix_below_each_fault(monkeypatch):
    with_checks(
        monkeypatch,
        examine.Check(name="first", run=lambda: ok("is well")),
        examine.Check(name="second", run=lambda: failed("is broken", "Mend it.")),
        examine.Check(name="third", run=lambda: warning("is odd", "Look at it.")),
    )

    assert run() == (
        1,
        "ok         first              is well\n"
        "failed     second             is broken\n"
        "                              → Mend it.\n"
        "warning    third              is odd\n"
        "                              → Look at it.\n",
        "1 of 3 checks failed.",
    )


def test_a_warning_alone_is_no_failure(monkeypatch):
    with_checks(monkeypatch, examine.Check(name="first", run=lambda: warning("is odd", "Look at it.")))

    code, printed, _ = run()

    assert code == 0
    assert printed.endswith("Nothing failed: 0 ok, 1 warning, 0 failed, 0 skipped.\n")


def test_programs_get_json(monkeypatch):
    with_checks(monkeypatch, examine.Check(name="first", run=lambda: failed("is broken", "Fix it.")))

    code, printed, _ = run("--json")

    assert code == 1
    assert json.loads(printed) == [{"check": "first", "verdict": "failed", "detail": "is broken", "fix": "Fix it."}]


@pytest.mark.parametrize("first", [failed("is broken", "Fix it."), skipped("for a reason")])
def test_a_check_is_skipped_without_what_it_needs(monkeypatch, first):
    with_checks(
        monkeypatch,
        examine.Check(name="first", run=lambda: first),
        examine.Check(name="second", run=lambda: ok("ran"), needs=("first",)),
        examine.Check(name="third", run=lambda: ok("ran")),
    )

    results = dict(examine.examine())

    assert results["second"] == skipped("it needs: first")
    assert results["third"] == ok("ran")


@pytest.mark.parametrize("error", [DatabaseError, ValueError])
def test_an_error_in_a_check_is_a_failure_that_quotes_nothing(monkeypatch, error):
    def broken():
        raise error("quotes +447700900001")

    with_checks(monkeypatch, examine.Check(name="first", run=broken), examine.Check(name="second", run=lambda: ok("")))

    results = dict(examine.examine())

    assert results["first"].verdict == Verdict.FAILED
    assert error.__name__ in results["first"].detail
    assert "4477" not in results["first"].detail
    assert results["second"].verdict == Verdict.OK


def test_every_check_needs_only_earlier_ones():
    names = []
    for check in examine.checks(is_paid=False):
        assert set(check.needs) <= set(names), check.name
        names.append(check.name)
    assert len(names) == len(set(names)) > 20


def test_the_unsigned_webhook_comes_before_the_signed_one_and_never_alone():
    # An accepted webhook ends the count of rejected ones, which would become an alert.
    needs = {check.name: check.needs for check in examine.checks(is_paid=False)}
    assert list(needs).index("unsigned webhook") < list(needs).index("signed webhook")
    assert needs["unsigned webhook"] == needs["signed webhook"]


def test_no_secret_is_printed(no_site):
    code, printed, error = run()

    secrets = [settings.SECRET_KEY, settings.VONAGE_API_SECRET, *settings.VONAGE_SIGNATURE_SECRETS]
    secrets += [settings.NUMBER_HASH_KEY, *settings.ENCRYPTION_KEYS]
    assert code == 1, printed
    assert [secret for secret in secrets if secret in printed + error] == []
    assert "failed     worker             none is running" in printed


class TestTheInstallation:
    def test_debug_and_a_missing_operator_are_noticed(self, settings):
        settings.DEBUG, settings.OPERATOR_NAME, settings.OPERATOR_CONTACT = True, "Rides Ltd", ""

        assert installation.check_debug().verdict == Verdict.FAILED
        assert "not set: OPERATOR_CONTACT" in installation.check_operator().detail

    def test_a_bad_setting_is_named_with_its_fix(self, settings):
        settings.ALLOWED_HOSTS = ["localhost"]

        result = installation.check_settings()

        assert result.verdict == Verdict.FAILED
        assert "is not in ALLOWED_HOSTS" in result.detail
        assert "Add sms.example.com to ALLOWED_HOSTS." in result.fix

    @pytest.mark.parametrize(("mode", "verdict"), [(0o600, Verdict.OK), (0o640, Verdict.WARNING)])
    def test_an_env_that_others_can_read_is_noticed(self, tmp_path, monkeypatch, mode, verdict):
        file = tmp_path / ".env"
        file.touch()
        file.chmod(mode)
        monkeypatch.setenv("ENV_FILE", str(file))

        assert installation.check_env_file().verdict == verdict

    def test_a_migration_that_was_not_applied_is_noticed(self, monkeypatch):
        assert installation.check_migrations() == ok("all applied")

        monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *args: [("numbers.0007_more", False)])
        assert installation.check_migrations() == failed(
            "1 not applied, first numbers.0007_more", "Run manage.py migrate."
        )

    @pytest.mark.postgres
    def test_a_wrong_clock_is_noticed(self, monkeypatch):
        assert installation.check_clock().verdict == Verdict.OK

        monkeypatch.setattr(installation, "measure_skew", lambda: -600.0)
        assert installation.check_clock().detail == "the clock of this host is 600 s behind that of the database"


def test_the_doctor_s_webhooks_raise_no_alert_however_often_it_runs(client):
    for _ in range(MIN_REFUSED + 1):
        for webhook, status in (({}, 401), (dict(SimulatorCarrier().harmless_receipt()), 200)):
            answer = client.post("/webhooks/vonage/delivery-receipt", webhook, content_type="application/json")
            assert answer.status_code == status
    WebhookWatch.objects.look(at=database_now())

    assert current.find(collect_status()).keys().isdisjoint({Trouble.WEBHOOKS_REFUSED})
    assert not DeliveryReceipt.objects.exclude(message=None).exists()

"""Settings: a missing or wrong one stops the program with its name and the fix, or fails a system check."""

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from conversations.models.conversation import MAX_PARTICIPANTS
from smsproxy import settings as settings_module
from smsproxy.environment import RENAMED
from tests.support.demo_process import ROOT
from tests.support.settings_file import GOOD, VONAGE, good_but, read_settings, start


def run(**changes):
    """Run the real `manage.py check` with the changed good environment; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=good_but(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_complete_environment_starts():
    assert run() == (0, "System check identified no issues (0 silenced).\n")


@pytest.mark.slow
def test_a_developer_looks_for_missing_migrations_without_any_setting():
    bare = {"PATH": os.environ["PATH"], "ENV_FILE": "/no/such/file"}

    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check"],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "No changes detected\n", "")


def test_a_wrong_environment_ends_the_program_without_a_traceback():
    code, output = run(SECRET_KEY=None)

    assert code == 1
    assert output.startswith("smsproxy cannot start: SECRET_KEY is not set. Create one")
    assert "Traceback" not in output


def test_a_renamed_variable_is_rejected_with_its_new_name():
    for old, new in RENAMED.items():
        code, output = start(**{old: "1"})

        assert code == 1
        assert f"{old} is now called {new}" in output


def test_the_new_name_of_a_renamed_variable_is_a_setting():
    settings = read_settings()

    assert [new for new in RENAMED.values() if new not in settings] == []


def test_a_complete_environment_starts_with_vonage():
    assert start(**VONAGE)[0] == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"SECRET_KEY": None}, "SECRET_KEY is not set. Create one"),
        ({"SECRET_KEY": "  "}, "SECRET_KEY is not set"),
        ({"ENCRYPTION_KEYS": None}, "ENCRYPTION_KEYS is not set. Expected Fernet keys"),
        ({"ENCRYPTION_KEYS": "sesame"}, "ENCRYPTION_KEYS: entry 1 has the wrong format"),
        ({"NUMBER_HASH_KEY": None}, "NUMBER_HASH_KEY is not set. Create one"),
        ({"NUMBER_HASH_KEY": "short"}, "NUMBER_HASH_KEY: expected 32 characters or more, found 5"),
        ({"DEBUG": "perhaps"}, "DEBUG: expected true or false, found 'perhaps'"),
        ({"CARRIER": "pigeon"}, "CARRIER: expected one of simulator, vonage; found 'pigeon'"),
        ({"LOOKUP": "magic"}, "LOOKUP: expected one of"),
        ({"VONAGE_SIGNATURE_METHOD": "rot13"}, "VONAGE_SIGNATURE_METHOD: expected one of"),
        ({"PUBLIC_URL": "sms.example.com"}, "PUBLIC_URL: expected a URL that begins with https://"),
        (
            {"COOL_DOWN_SECONDS": "a week"},
            "COOL_DOWN_SECONDS: expected a whole number of seconds, 0 or more; found 'a week'",
        ),
        ({"COOL_DOWN_SECONDS": "-1"}, "COOL_DOWN_SECONDS: expected"),
        ({"DATABASE_URL": "oracle://x"}, "DATABASE_URL: expected postgres://"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL: expected postgres://"),
        (
            {"DATABASE_POOLED": "true"},
            "DATABASE_POOLED=true: expected PostgreSQL, found SQLite. Remove DATABASE_POOLED.",
        ),
        ({"DATABASE_DIRECT_URL": "sqlite:///x"}, "DATABASE_DIRECT_URL: expected PostgreSQL, found SQLite. Remove it."),
        ({"SEND_LEASE_SECONDS": "5"}, "SEND_LEASE_SECONDS: expected more than twice CARRIER_TIMEOUT_SECONDS"),
        (
            {"DAILY_BUDGET": "0.3"},
            "DAILY_BUDGET: expected 0 for no limit, or at least the estimate",
        ),
        (
            {"NEW_PEOPLE_PER_SERVICE_MINUTE": "9"},
            "NEW_PEOPLE_PER_SERVICE_MINUTE: expected 0 for no limit, or at least the 10 people of the largest conver",
        ),
        (
            {"NEW_PEOPLE_PER_SERVICE_DAY": "9"},
            "NEW_PEOPLE_PER_SERVICE_DAY: expected 0 for no limit, or at least the 10 people",
        ),
        (
            {"CARRIER_TIMEOUT_SECONDS": "0"},
            "CARRIER_TIMEOUT_SECONDS: expected a whole number of seconds, 1 or more; found '0'",
        ),
        ({"WEBHOOK_MAX_AGE_SECONDS": "0"}, "WEBHOOK_MAX_AGE_SECONDS: expected a whole number of seconds, 1 or more"),
        ({"MESSAGE_MAX_AGE_SECONDS": "0"}, "MESSAGE_MAX_AGE_SECONDS: expected a whole number of seconds, 1 or more"),
        (
            {"UNKNOWN_OUTCOME_TIMEOUT_SECONDS": "0"},
            "UNKNOWN_OUTCOME_TIMEOUT_SECONDS: expected a whole number of seconds, 1 or more",
        ),
        (
            {"COOL_DOWN_SECONDS": "86460"},
            "COOL_DOWN_SECONDS: expected more than MESSAGE_MAX_AGE_SECONDS and SEND_LEASE_SECONDS together "
            "(86460 seconds)",
        ),
        (
            {"MESSAGE_MAX_AGE_SECONDS": "604800"},
            "COOL_DOWN_SECONDS: expected more than MESSAGE_MAX_AGE_SECONDS and SEND_LEASE_SECONDS together",
        ),
        (
            {"COOL_DOWN_SECONDS": "262800"},
            "COOL_DOWN_SECONDS: expected more than WEBHOOK_MAX_AGE_SECONDS (262800 seconds), found 262800. "
            "Raise COOL_DOWN_SECONDS, or lower WEBHOOK_MAX_AGE_SECONDS.",
        ),
        (
            {"WEBHOOK_MAX_AGE_SECONDS": "604800"},
            "COOL_DOWN_SECONDS: expected more than WEBHOOK_MAX_AGE_SECONDS (604800 seconds), found 604800.",
        ),
        (
            {"CARRIER_REQUESTS_PER_SECOND": "0"},
            "CARRIER_REQUESTS_PER_SECOND: expected a whole number, 1 or more; found '0'",
        ),
        ({"NUMBER_SEGMENTS_PER_SECOND": "US=1,CA=1"}, 'NUMBER_SEGMENTS_PER_SECOND: expected a rate for "*"'),
        (
            {"NUMBER_SEGMENTS_PER_SECOND": "*=0"},
            "NUMBER_SEGMENTS_PER_SECOND: expected a list such as *=10,US=1,CA=1; found '*=0' in it",
        ),
        ({"NUMBER_SEGMENTS_PER_SECOND": "*=10,US=0.000"}, "NUMBER_SEGMENTS_PER_SECOND: expected a list such as"),
        ({"NUMBER_SEGMENTS_PER_SECOND": "*=10,USA=1"}, "NUMBER_SEGMENTS_PER_SECOND: expected a list such as"),
        ({"NUMBER_SEGMENTS_PER_SECOND": "slowly"}, "NUMBER_SEGMENTS_PER_SECOND: expected a list such as"),
        ({"PUBLIC_URL": "https://[::1"}, "PUBLIC_URL: expected a URL"),
        ({"PUBLIC_URL": "https://sms.example.com:port"}, "PUBLIC_URL: expected a URL"),
        ({"PUBLIC_URL": "https://"}, "PUBLIC_URL: expected a URL"),
        ({"PUBLIC_URL": "https://sms.example.com/texts"}, "PUBLIC_URL: expected a URL"),
        ({"PUBLIC_URL": "https://sms.example.com?x=1"}, "PUBLIC_URL: expected a URL"),
        ({"PUBLIC_URL": "https://sms.example.com#x"}, "PUBLIC_URL: expected a URL"),
        ({"VONAGE_API_HOST": "https://api.nexmo.com"}, "VONAGE_API_HOST: expected a host such as api.nexmo.com"),
        ({"VONAGE_REST_HOST": "rest.nexmo.com/sms"}, "VONAGE_REST_HOST: expected a host such as rest.nexmo.com"),
        ({**VONAGE, "DEBUG": "true"}, "smsproxy.E006"),
        ({**VONAGE, "VONAGE_SIGNATURE_SECRET": None}, "VONAGE_SIGNATURE_SECRET is not set, so anyone could post"),
        ({**VONAGE, "VONAGE_API_KEY": None}, "VONAGE_API_KEY is not set"),
        ({**VONAGE, "PUBLIC_URL": "http://sms.example.com"}, "smsproxy.E003"),
        ({**VONAGE, "ALLOWED_HOSTS": "other.example.com"}, "Add sms.example.com to ALLOWED_HOSTS"),
        ({**VONAGE, "LOOKUP": "identity_insights"}, "VONAGE_APPLICATION_ID is not set"),
    ],
)
def test_a_wrong_environment_is_rejected_with_the_name_and_the_fix(changes, says):
    code, output = start(**changes)

    assert code != 0
    assert says in output


def test_all_wrong_durations_are_named_at_once():
    _, output = start(
        COOL_DOWN_SECONDS="3600",
        SEND_LEASE_SECONDS="15",
        TEXT_RETENTION_SECONDS="60",
        LONG_MESSAGE_TIMEOUT_SECONDS="0",
        HEALTH_WINDOW_SECONDS="six hours",
    )

    assert [line.split(": expected")[0].split()[-1] for line in output.splitlines()] == [
        "HEALTH_WINDOW_SECONDS",
        "LONG_MESSAGE_TIMEOUT_SECONDS",
        "SEND_LEASE_SECONDS",
        "COOL_DOWN_SECONDS",
        "COOL_DOWN_SECONDS",
    ]


def test_a_duration_that_cannot_be_read_causes_no_second_error():
    _, output = start(COOL_DOWN_SECONDS="30 days", WEBHOOK_MAX_AGE_SECONDS="1000000")

    assert output == (
        "smsproxy cannot start: COOL_DOWN_SECONDS: expected a whole number of seconds, 0 or more; found '30 days'.\n"
    )


def test_the_default_rates_are_thirty_requests_a_second_and_one_text_in_north_america():
    names = read_settings()

    carrier_rate, number_rates = names["CARRIER_REQUESTS_PER_SECOND"], dict(names["NUMBER_SEGMENTS_PER_SECOND"])
    others = number_rates.pop("*")
    assert carrier_rate == 30
    assert number_rates == {"US": 1, "CA": 1}
    assert others > 1


def test_hosts_may_have_ports_and_the_address_a_trailing_slash():
    assert start(PUBLIC_URL="http://127.0.0.1:8000/", VONAGE_REST_HOST="127.0.0.1:9999")[0] == 0


def test_the_checkout_directory_may_have_any_name(tmp_path):
    folder = tmp_path / "a b#c?d%41"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "var", "docs", "__pycache__"))
    code = "from smsproxy.settings import DATABASES; print(DATABASES['default']['NAME'])"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={key: value for key, value in GOOD.items() if key != "DATABASE_URL"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == str(folder / "var" / "smsproxy.sqlite3")


def test_every_version_is_pinned_and_the_same_in_every_file():
    def versions(name):
        lines = re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)$", (ROOT / name).read_text(), flags=re.MULTILINE)
        return {re.sub("[._-]+", "-", package).lower(): version for package, version in lines}

    pinned = versions("constraints.txt")

    assert pinned.items() >= versions("requirements.txt").items()
    assert pinned.items() >= versions("requirements-dev.txt").items()


@pytest.mark.parametrize("how_many", ["0", "-1", "x", "1.5", ""])
def test_the_relay_needs_at_least_one_concurrent_call(how_many):
    with pytest.raises(CommandError, match="expected a whole number, 1 or more"):
        call_command("relay", f"--concurrency={how_many}", "--once")


def test_a_failed_virtual_environment_is_removed(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    broken = tmp_path / "python"
    broken.write_text('#!/bin/sh\n[ "$2" = venv ] || exit 0\nmkdir -p .venv/bin && touch .venv/bin/python && exit 1\n')
    broken.chmod(0o755)

    done = subprocess.run(
        ["make", ".venv/bin/python", f"PYTHON={broken}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert not (tmp_path / ".venv").exists()


def test_a_secret_may_begin_with_a_dollar_sign():
    assert start(SECRET_KEY="$ecret", VONAGE_API_SECRET="$SECRET_KEY")[0] == 0


def test_the_value_of_a_wrong_secret_is_not_shown():
    _, output = start(ENCRYPTION_KEYS="tHqO0P5cwAq3b5xhrnbwIs1oTTPgTDkh", DATABASE_URL="oracle://user:hunter2@h/d")

    assert "tHqO0P5cwAq3" not in output
    assert "hunter2" not in start(DATABASE_URL="oracle://user:hunter2@h/d")[1]


def test_unsigned_webhooks_need_an_opt_in_and_cause_a_warning():
    code, output = start(**{**VONAGE, "VONAGE_SIGNATURE_SECRET": None, "ALLOW_UNSIGNED_WEBHOOKS": "true"})

    assert code == 0
    assert "smsproxy.W002" in output


@pytest.mark.parametrize(("today", "word"), [("2026-11-22", "will be"), ("2027-02-04", "was")])
def test_number_insight_causes_a_warning_with_its_last_day(settings, time_machine, today, word):
    settings.LOOKUP = "number_insight"
    time_machine.move_to(datetime.fromisoformat(f"{today}T12:00:00+00:00"))

    [warning] = [each for each in run_checks() if each.id == "smsproxy.W001"]

    assert f"{word} switched off on 2027-02-04" in warning.msg
    assert "identity_insights" in str(warning.hint)


def test_an_init_file_in_numbers_is_an_error(settings, tmp_path):
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "__init__.py").touch()
    settings.BASE_DIR = tmp_path

    assert "smsproxy.E001" in [each.id for each in run_checks()]


def test_the_simulator_causes_a_warning_in_production():
    assert "smsproxy.W003" in [each.id for each in run_checks(include_deployment_checks=True)]


def test_answers_to_keywords_without_an_operator_cause_a_warning_in_production():
    def warnings(**changes):
        with override_settings(CARRIER="vonage", **changes):
            found = run_checks(include_deployment_checks=True)
        return [each.msg for each in found if each.id == "smsproxy.W004"]

    assert len(warnings()) == 2
    [warning] = warnings(OPERATOR_NAME="Ride Ltd")
    assert "OPERATOR_CONTACT is not set" in warning
    assert warnings(OPERATOR_NAME="Ride Ltd", OPERATOR_CONTACT="help@ride.example") == []


@pytest.mark.parametrize("found", ["us", "US:fax", "US toll-free", "USA", "*"])
def test_a_kind_of_number_that_does_not_exist_stops_the_program(found):
    code, output = start(CARRIER_ANSWERS_STOP=f"CA,{found}")

    assert code != 0
    assert "CARRIER_ANSWERS_STOP: expected countries, each with or without a type of number" in output
    assert f"found {found!r}" in output


def test_the_limits_of_new_people_allow_the_largest_conversation():
    assert settings_module._LARGEST_GROUP == MAX_PARTICIPANTS


def test_kinds_of_numbers_may_be_none(settings):
    for answers in ("", "US:toll-free, CA"):
        assert start(CARRIER_ANSWERS_STOP=answers)[0] == 0
    assert {"US:toll-free"} == settings.CARRIER_ANSWERS_STOP


def _variables():
    """Return every variable that settings.py reads."""
    text = (ROOT / "smsproxy" / "settings.py").read_text()
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', text)) | {"ENV_FILE"}


def test_the_example_file_has_only_existing_and_all_required_settings():
    named = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))

    assert named <= _variables()
    assert {"SECRET_KEY", "ENCRYPTION_KEYS", "NUMBER_HASH_KEY"} <= named

"""`manage.py init` writes an .env with which the program starts, keeps keys, and shows no secret."""

import builtins
import getpass
import io
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from smsproxy.first_setup import env_file, throwaway
from smsproxy.management.commands import init
from tests.support.demo_process import BARE, ROOT
from tests.support.terminal import Terminal

SECRETS = {"VONAGE_API_SECRET": "secret-of-the-api", "VONAGE_SIGNATURE_SECRET": "signature $ecret"}
VONAGE = ["--no-input", "--public-url", "https://sms.example.com", "--vonage-api-key", "abcd1234"]
SIMULATOR = ["--no-input", "--public-url", "https://sms.example.com", "--carrier", "simulator"]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return the file to write, with nothing given in the environment, and without the slow check of the result."""
    monkeypatch.setattr(throwaway, "given", {})
    monkeypatch.setattr(init, "_verify", lambda file: None)
    return tmp_path / "new.env"


def run(file, *arguments):
    out = io.StringIO()
    call_command("init", "--file", str(file), *arguments, stdout=out)
    return out.getvalue()


def run_bare(*arguments, **environment):
    """Run the real command, in an environment without any setting."""
    return subprocess.run(
        [sys.executable, "manage.py", "init", *arguments],
        cwd=ROOT,
        env=BARE | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_runs_before_any_setting_and_writes_settings_that_start_the_program(tmp_path):
    file = tmp_path / "new.env"

    done = run_bare("--file", str(file), *VONAGE, **SECRETS)

    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    check = [sys.executable, "manage.py", "check", "--tag", "smsproxy"]
    started = subprocess.run(check, cwd=ROOT, env=BARE | {"ENV_FILE": str(file)}, capture_output=True, text=True)
    assert (started.returncode, started.stderr) == (0, "")
    written = env_file.read(file)
    assert SECRETS.items() <= written.items()
    assert written["ALLOWED_HOSTS"] == "sms.example.com"
    assert written["BEHIND_TLS_PROXY"] == "true"


@pytest.mark.slow
def test_settings_that_would_not_start_the_program_are_not_written(tmp_path):
    file = tmp_path / "new.env"
    arguments = [each.replace("https:", "http:") for each in VONAGE]

    done = run_bare("--file", str(file), *arguments, **SECRETS)

    assert done.returncode == 1
    assert "Nothing was written" in done.stderr
    assert "Set PUBLIC_URL to the https address" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_secret_is_printed(file, monkeypatch):
    monkeypatch.setattr(throwaway, "given", SECRETS)

    printed = run(file, *VONAGE)

    values = env_file.read(file)
    private = [*SECRETS, "SECRET_KEY", "ENCRYPTION_KEYS", "NUMBER_HASH_KEY"]
    assert [name for name in private if values[name] in printed] == []
    assert "New keys: SECRET_KEY, ENCRYPTION_KEYS, NUMBER_HASH_KEY." in printed


def test_no_secret_can_be_a_flag_which_other_users_would_see():
    flags = {option for action in init.Command().create_parser("", "init")._actions for option in action.option_strings}

    assert [flag for flag in flags if "secret" in flag or "password" in flag] == []


def test_an_existing_file_is_not_changed_without_being_told(file):
    run(file, *SIMULATOR)
    before = file.read_bytes()

    with pytest.raises(CommandError, match=r"exists\. Add --update"):
        run(file, *SIMULATOR, "--operator-name", "Rides Ltd")

    assert file.read_bytes() == before


def test_an_update_keeps_the_keys_and_all_other_lines(file):
    run(file, *SIMULATOR)
    before = env_file.read(file)
    with file.open("a") as more:
        more.write("# A note\nDAILY_BUDGET=50\n")

    printed = run(file, *SIMULATOR, "--update", "--operator-name", "O'Hara & Sons")

    after = env_file.read(file)
    assert after == before | {"DAILY_BUDGET": "50", "OPERATOR_NAME": "O'Hara & Sons"}
    assert "# A note" in file.read_text()
    assert "New keys" not in printed


def test_keys_that_the_environment_has_are_kept_and_not_replaced_by_new_ones(file, monkeypatch):
    monkeypatch.setattr(throwaway, "given", {"ENCRYPTION_KEYS": "in-use", "NUMBER_HASH_KEY": ""})

    told = run(file, *SIMULATOR)

    assert env_file.read(file)["ENCRYPTION_KEYS"] == "in-use"
    assert "New keys: SECRET_KEY, NUMBER_HASH_KEY." in told


def test_every_missing_answer_is_named_at_once(file):
    with pytest.raises(CommandError) as error:
        run(file, "--no-input")

    for name in ("--public-url", "--vonage-api-key", "variable VONAGE_API_SECRET", "variable VONAGE_SIGNATURE_SECRET"):
        assert name in str(error.value)
    assert not file.exists()


def test_for_compose_the_database_is_the_one_in_compose_yaml(file):
    run(file, *SIMULATOR, "--compose")
    first = env_file.read(file)
    run(file, *SIMULATOR, "--compose", "--update")

    assert first["DATABASE_URL"] == f"postgres://smsproxy:{first['POSTGRES_PASSWORD']}@database:5432/smsproxy"
    assert env_file.read(file) == first


class Person:
    """A person at the terminal, who answers each question by the words in it, and types secrets unseen."""

    def __init__(self, monkeypatch, **answers):
        self.answers = answers
        self.shown = []
        self.hidden = []
        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr(builtins, "input", lambda prompt: self.answer(prompt, self.shown))
        monkeypatch.setattr(getpass, "getpass", lambda prompt: self.answer(prompt, self.hidden))

    def answer(self, prompt, seen):
        seen.append(prompt)
        found = next((answers for words, answers in self.answers.items() if words in prompt), "")
        return found.pop(0) if isinstance(found, list) else found


def test_a_person_is_asked_and_secrets_are_typed_unseen(file, monkeypatch):
    person = Person(
        monkeypatch,
        **{"Public": ["sms.example.com", "https://sms.example.com"], "API key": "abcd1234", "Password": "p@ss w"},
        **{"API secret": "typed", "signature": "typed too", "Your name": "Rides Ltd"},
    )

    printed = run(file)

    values = env_file.read(file)
    assert values["DATABASE_URL"] == "postgres://smsproxy:p%40ss%20w@127.0.0.1:5432/smsproxy"
    assert (values["VONAGE_API_SECRET"], values["VONAGE_SIGNATURE_SECRET"]) == ("typed", "typed too")
    assert "found 'sms.example.com'" in printed  # The first answer was wrong, so it was asked again.
    assert len(person.hidden) == 3
    assert not any("typed" in prompt or "p@ss" in prompt for prompt in person.shown + person.hidden)


def test_a_person_keeps_a_secret_without_seeing_it(file, monkeypatch):
    monkeypatch.setattr(throwaway, "given", SECRETS)
    run(file, *VONAGE)
    monkeypatch.setattr(throwaway, "given", {})
    person = Person(monkeypatch, Change="y")

    run(file)

    assert SECRETS.items() <= env_file.read(file).items()
    assert "Vonage API secret, from the dashboard [keep the present one]: " in person.hidden


def test_a_person_who_does_not_want_to_change_the_file_keeps_it(file, monkeypatch):
    run(file, *SIMULATOR)
    Person(monkeypatch)

    with pytest.raises(CommandError, match="Nothing was written"):
        run(file)


def test_an_interrupt_and_a_missing_terminal_are_clear_errors(file, monkeypatch):
    with pytest.raises(CommandError, match="no terminal to ask on"):
        run(file)

    Person(monkeypatch)
    monkeypatch.setattr(builtins, "input", lambda prompt: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(CommandError, match="Interrupted: nothing was written"):
        run(file)
    assert not file.exists()


@pytest.mark.parametrize(
    "value", ["plain", "with space", "a#b", "$HOME", 'say "hi"', "it's", """it's "so" """, "back\\slash", "=", "ü", ""]
)
def test_every_value_is_read_as_it_was_written(tmp_path, value):
    env_file.write(tmp_path / "x.env", {"NAME": value, "OTHER": "1"}, verify=lambda file: None)

    assert env_file.read(tmp_path / "x.env") == {"NAME": value, "OTHER": "1"}


@pytest.mark.parametrize("value", ["two\nlines", "it's $5", "it's \\"])
def test_a_value_that_readers_would_understand_differently_is_rejected_without_being_shown(tmp_path, value):
    with pytest.raises(env_file.CannotBeWritten) as error:
        env_file.write(tmp_path / "x.env", {"NAME": value}, verify=lambda file: None)

    assert value not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_verified_leaves_the_old_one(tmp_path):
    file = tmp_path / "x.env"
    file.write_text("NAME=old\n")

    def refuse(new):
        raise CommandError("no")

    with pytest.raises(CommandError):
        env_file.write(file, {"NAME": "new"}, verify=refuse)

    assert file.read_text() == "NAME=old\n"
    assert os.listdir(tmp_path) == ["x.env"]

"""`manage.py demo`: it is independent of its environment, and its transcript reports a broken promise."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from conversations.demo.transcript import checks, play
from smsproxy.simulator.models import POSSIBLE_FAULTS, FaultKind, SimulatedFault, Verb
from tests.support.demo_process import BARE, ROOT, Demo

DAMAGED = """
import sys
sys.argv = ["manage.py", "demo", "--transcript"]
from smsproxy.simulator.demo_environment import prepare
prepare()
import django
django.setup()
from conversations.intake import receive
original = receive.queue_relay
receive.queue_relay = lambda message, to, text: original(message, to, f"{text} (from {message.sender.number})")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


def run(*command, **environment):
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=BARE | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


# The transcript -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_transcript_keeps_its_promises_in_a_bare_environment(tmp_path):
    done = run("manage.py", "demo", "--transcript", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("✓") == 12
    assert "✗" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_transcript_ignores_the_developers_own_settings(tmp_path):
    """One of these settings would reach a real account, one a real database, and the last would stop the program."""
    real = tmp_path / "real.sqlite3"
    done = run(
        "manage.py",
        "demo",
        "--transcript",
        CARRIER="vonage",
        VONAGE_API_KEY="abcd1234",
        DATABASE_URL=f"sqlite:///{real}",
        DJANGO_SETTINGS_MODULE="no.such.settings",
        CONFIRMATION_TEXT="Something else",
        SEND_LEASE_SECONDS="nonsense",
    )
    assert done.returncode == 0, done.stderr
    assert "Reply to this SMS to talk to Driver" in done.stdout
    assert not real.exists()


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_a_broken_promise_is_reported_and_exits_1():
    done = run("-c", DAMAGED)
    assert done.returncode == 1
    assert "✗ No phone showed anybody's real number" in done.stdout
    assert "promises were not kept" in done.stderr


# Faults that the product makes up for.
HARMLESS = {FaultKind.DUPLICATE_RECEIPT, FaultKind.LOST_REPLY}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", sorted(POSSIBLE_FAULTS[Verb.SEND] - HARMLESS))
def test_each_fault_of_the_network_breaks_a_promise(kind):
    # Repeated: on a slow machine, the product recovers from a single fault before the play ends.
    SimulatedFault.objects.create(verb=Verb.SEND, kind=kind, remaining=100)
    assert not all(is_kept for _, is_kept in checks(play()))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", sorted(HARMLESS))
def test_a_repeated_receipt_and_a_lost_reply_break_no_promise(kind):
    SimulatedFault.objects.create(verb=Verb.SEND, kind=kind, remaining=100)
    assert [promise for promise, is_kept in checks(play()) if not is_kept] == []


# The server -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_demo_restarts_with_its_data(tmp_path):
    with Demo(tmp_path) as demo:
        assert "4477" in demo.first_lines
        first = demo.state()["phones"]
        assert [phone["name"] for phone in first] == ["Rider", "Driver"]
    assert demo.returncode == 0
    assert (tmp_path / "demo.env").stat().st_mode & 0o077 == 0
    with Demo(tmp_path, stop=signal.SIGTERM) as demo:
        assert demo.state()["phones"] == first
        assert "bought" not in demo.first_lines
    assert demo.returncode == 0


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
def test_the_demo_directory_may_have_any_name(tmp_path):
    directory = tmp_path / "a b#c?d%41"
    directory.mkdir()
    with Demo(directory):
        assert (directory / "demo.sqlite3").exists()


@pytest.mark.slow
def test_a_port_in_use_is_a_clear_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("manage.py", "demo", "--port", str(port), DEMO_DIRECTORY=str(tmp_path))
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert "--port" in done.stderr


def test_a_database_without_its_keys_is_a_clear_error(tmp_path):
    Path(tmp_path, "demo.sqlite3").touch()
    done = run("manage.py", "demo", DEMO_DIRECTORY=str(tmp_path))
    assert done.returncode == 1
    assert "demo.keys is missing" in done.stderr


def test_the_demo_rejects_settings_that_are_not_its_own():
    with pytest.raises(CommandError, match=r"manage\.py demo"):
        call_command("demo")
    assert "var" not in os.environ["DATABASE_URL"]

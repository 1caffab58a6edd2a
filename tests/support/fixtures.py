"""The fixtures that tests of several rooms share. pytest loads them as a plugin: see tests/conftest.py."""

import io
import sys

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from rest_framework.test import APIClient

from numbers.provisioning import retry
from smsproxy.api.models import ApiKey
from smsproxy.carriers import override
from smsproxy.database import deadline
from tests.support.builders import ALICE, BOB, ScriptedCarrier, add_numbers, members, talk
from tests.support.crash_points import steps_of_ours
from tests.support.fake_rental_carrier import Rentals
from tests.support.stub_carrier import StubCarrier
from tests.support.terminal import Terminal


@pytest.fixture
def no_hurry(monkeypatch):
    """Let many requests be slow: a test may have more threads than a web server."""
    monkeypatch.setattr(deadline, "_MAX_SLOW", 1000)


@pytest.fixture
def api(db):
    """Return a client of the API with a valid key."""
    _, key = ApiKey.objects.issue("rides-backend")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


@pytest.fixture
def carrier():
    """Put a scripted carrier in the place of the configured one."""
    scripted = ScriptedCarrier()
    with override(scripted):
        yield scripted


@pytest.fixture
def bob(db):
    """Return Bob, the recipient, in a conversation with Alice."""
    add_numbers(3)
    return members(talk(ALICE, BOB))[1]


@pytest.fixture
def rentals(pauses):
    """Put a fake carrier that rents out numbers in the place of the configured one."""
    carrier = Rentals()
    with override(carrier):
        yield carrier


@pytest.fixture
def pauses(monkeypatch):
    """Replace the pauses between retries, and return the list of their seconds."""
    seconds = []
    monkeypatch.setattr(retry, "pause", seconds.append)
    return seconds


@pytest.fixture
def steps(monkeypatch):
    """Return a counter that kills a run at a chosen step: see tests/support/crash_points.py."""
    return steps_of_ours(monkeypatch)


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs a command, and returns its exit code and its output with any error."""

    def run(*arguments, types=None):
        monkeypatch.setattr(sys, "stdin", io.StringIO() if types is None else Terminal(types))
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(*arguments, stdout=out, stderr=err, no_color=True)
        except CommandError as error:
            code = error.returncode
            err.write(str(error))
        return code, out.getvalue() + err.getvalue()

    return run


@pytest.fixture
def browse(live_server, admin_client, settings):
    """Return a function that opens a page of the admin in a browser, as staff with every permission."""
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False

    def browse(browser, address):
        browser.get(live_server.url + reverse("admin:login"))
        session = admin_client.cookies[settings.SESSION_COOKIE_NAME].value
        browser.add_cookie({"name": settings.SESSION_COOKIE_NAME, "value": session})
        browser.get(live_server.url + address)

    return browse


@pytest.fixture
def stub(tmp_path):
    """Start a stand-in for Vonage that other processes can reach."""
    with StubCarrier(tmp_path) as stub:
        yield stub

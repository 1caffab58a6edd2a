"""The log of a real process: within pytest, tests see pytest's handlers and not ours."""

import os
import subprocess
import sys

import pytest

from tests.support.builders import ALICE
from tests.support.demo_process import ROOT

SECRET_WORDS = "meet me at the old lighthouse"


def output_of(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        # The development server logs this for each 4xx answer.
        f"import logging; logging.getLogger('django.server').warning('\"GET /?%s\" 401', '{ALICE} {SECRET_WORDS}')",
        f"from django.test import Client; Client().get('/admin/', HTTP_HOST='{ALICE[1:]} {SECRET_WORDS}')",
    ],
)
@pytest.mark.slow
def test_a_silenced_logger_writes_nothing(code):
    assert output_of(code) == ""


@pytest.mark.slow
def test_our_own_loggers_are_redacted():
    output = output_of(f"import logging; logging.getLogger('smsproxy').warning('for %s', '{ALICE}')")

    assert output.endswith("for [number]\n")


@pytest.mark.slow
def test_an_error_that_ends_a_thread_and_a_warning_are_redacted():
    output = output_of(
        "import threading, warnings; from smsproxy.logs.setup import log_uncaught_errors; log_uncaught_errors()\n"
        f"def work(): raise ValueError('for {ALICE}')\n"
        "thread = threading.Thread(target=work, name='work'); thread.start(); thread.join()\n"
        f"warnings.warn('about {ALICE}')"
    )

    assert "CRITICAL smsproxy.logs.setup: the thread work ended with an error\nTraceback" in output
    assert "ValueError: for [number]\n" in output
    assert "WARNING py.warnings: " in output
    assert "UserWarning: about [number]" in output
    assert ALICE[1:] not in output

"""What really reaches the log of a process: tests of logging within pytest see pytest's handlers, not ours."""

import os
import subprocess
import sys

import pytest

from tests.support.builders import ALICE
from tests.support.demo_process import ROOT

SECRET_WORDS = "meet me at the old lighthouse"


def said_by(code):
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
        # As the development server does for each answer of 4xx.
        f"import logging; logging.getLogger('django.server').warning('\"GET /?%s\" 401', '{ALICE} {SECRET_WORDS}')",
        f"from django.test import Client; Client().get('/admin/', HTTP_HOST='{ALICE[1:]} {SECRET_WORDS}')",
    ],
)
def test_a_silenced_logger_writes_nothing(code):
    assert said_by(code) == ""


def test_our_own_loggers_are_redacted():
    said = said_by(f"import logging; logging.getLogger('smsproxy').warning('for %s', '{ALICE}')")

    assert said.endswith("for [number]\n")

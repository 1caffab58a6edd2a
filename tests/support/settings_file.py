"""The product's settings, read in this process under an environment that the test chooses."""

import os
import runpy
import warnings
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tests.support.demo_process import ROOT

GOOD = {
    "PATH": os.environ["PATH"],
    "ENV_FILE": "/no/such/file",
    "SECRET_KEY": "a secret key for tests",
    "ENCRYPTION_KEYS": "tHqO0P5cwAq3b5xhrnbwIs1oTTPgTDkhbRYBbIHzUcM=",
    "NUMBER_HASH_KEY": "a lookup key for tests only, 32 characters or more",
    "DATABASE_URL": "sqlite:////tmp/smsproxy-no-such-folder-is-needed/db.sqlite3",
}
VONAGE = {
    "CARRIER": "vonage",
    "VONAGE_API_KEY": "k",
    "VONAGE_API_SECRET": "s",
    "VONAGE_SIGNATURE_SECRET": "signature",
    "PUBLIC_URL": "https://sms.example.com",
    "ALLOWED_HOSTS": "sms.example.com",
}
# A running Django cannot change these settings, and our system checks do not read them.
_FIXED = {"DATABASES", "INSTALLED_APPS"}


def good_but(**changes: str | None) -> dict[str, str]:
    """Return the good environment with these changes. None: the variable is not set."""
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not None}


def read_settings(**changes: str | None) -> dict[str, Any]:
    """Run smsproxy/settings.py under the changed good environment; return its names. Raises ImproperlyConfigured."""
    with mock.patch.dict(os.environ, good_but(**changes), clear=True), warnings.catch_warnings():
        # The program only prints this warning, but in a test it would be an error.
        warnings.filterwarnings("ignore", "Engine not recognized", UserWarning)
        return runpy.run_path(str(ROOT / "smsproxy" / "settings.py"))


def start(**changes: str | None) -> tuple[int, str]:
    """Do as `manage.py check` does under the changed good environment; return the exit code and the output."""
    try:
        names = read_settings(**changes)
    except ImproperlyConfigured as error:
        return 1, f"smsproxy cannot start: {error}\n"
    changed = {
        name: value
        for name, value in names.items()
        if name.isupper() and name not in _FIXED and value != getattr(settings, name, None)
    }
    with override_settings(**changed):
        problems = [problem for problem in run_checks() if not problem.is_silenced()]
    return int(any(problem.level >= ERROR for problem in problems)), "\n".join(map(str, problems))

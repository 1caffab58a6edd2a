"""A short soak: the long one, `make bench ARGS=soak`, takes more than ten minutes."""

import subprocess
import sys

import pytest

from tests.support.demo_process import ROOT

pytestmark = pytest.mark.postgres


def test_faults_raise_their_alarms_and_no_others_and_lose_double_and_reorder_nothing():
    command = [sys.executable, "-m", "benchmarks", "soak", "--quick", "--rate", "20"]
    faults = ["--conversations", "30", "--faults", "database_crash", "wrong_secret"]
    done = subprocess.run([*command, *faults], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was wrong." in done.stdout
    assert "webhooks_refused" in done.stdout

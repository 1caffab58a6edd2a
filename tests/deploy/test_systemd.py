"""The systemd units: accepted by systemd, hardened, and all alike."""

import re
import shutil
import subprocess

import pytest

from smsproxy import settings
from tests.support.installation import UNITS

SERVICES = ["smsproxy-web.service", "smsproxy-relay@.service", "smsproxy-migrate.service"]
INSTANCES = [name.replace("@", "@1") for name in SERVICES]
EXPOSURE = 1.2  # of 10, by systemd's own measure


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a root directory with the units, with systemd's own, and with programs at the paths they name."""
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        pytest.skip("needs systemd-analyze")
    root = tmp_path_factory.mktemp("root")
    shutil.copytree("/lib/systemd/system", root / "lib/systemd/system", symlinks=True)
    shutil.copytree(UNITS, root / "etc/systemd/system")
    for name in ("srv/smsproxy/.venv/bin/python", "srv/smsproxy/.venv/bin/gunicorn", "bin/kill"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch(mode=0o755)
    return root


def analyze(root, *command):
    done = subprocess.run(
        ["systemd-analyze", command[0], f"--root={root}", *command[1:]], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_systemd_finds_no_fault_in_the_units(root):
    assert analyze(root, "verify", "smsproxy.target", *INSTANCES) == (0, "", "")


@pytest.mark.parametrize("unit", INSTANCES)
def test_a_service_is_exposed_to_little(root, unit):
    code, out, err = analyze(root, "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", unit)

    assert code == 0, out[-500:] + err


def hardening(unit):
    return (UNITS / unit).read_text().partition("# A user without files")[2].partition("\n[Install]")[0].strip()


def test_all_services_are_hardened_alike():
    assert hardening(SERVICES[0])
    assert len({hardening(unit) for unit in SERVICES}) == 1


def test_a_worker_has_the_time_to_finish_its_calls():
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", (UNITS / "smsproxy-relay@.service").read_text(), re.MULTILINE)

    assert int(seconds) > settings.SEND_LEASE_SECONDS


def test_the_target_starts_the_web_server_and_two_workers():
    [wanted] = re.findall(r"^Wants=(.+)$", (UNITS / "smsproxy.target").read_text(), re.MULTILINE)

    assert wanted.split() == ["smsproxy-web.service", "smsproxy-relay@1.service", "smsproxy-relay@2.service"]

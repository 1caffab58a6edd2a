"""An installation as an operator has it: deploy/build.sh in a folder, and the commands of the systemd units."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.demo_process import BARE, PATIENCE, ROOT

UNITS = ROOT / "deploy" / "systemd"
NOBODY = 65534
_AS_NOBODY = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --no-new-privs --bounding-set -all"
# As for a container: nothing can be written except /tmp, which is empty at first.
_READ_ONLY = "mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs /tmp && exec"


class Installation:
    """The program, installed into a folder of its own. run and start act in it as an unprivileged user."""

    def __init__(self) -> None:
        # Not in the test's directory, which no other user may enter, and not in /tmp, which is hidden from services.
        self.folder = Path(tempfile.mkdtemp(prefix="smsproxy-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.env_file = self.folder / ".env"
        self.python = self.folder / ".venv" / "bin" / "python"

    def __enter__(self) -> "Installation":
        done = subprocess.run(
            [ROOT / "deploy" / "build.sh", self.folder],
            env={**os.environ, "PYTHON": _python()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            self.__exit__()
            raise AssertionError(done.stdout + done.stderr)
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self.folder)

    def manage(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as the operator does: in the folder, with its .env."""
        return subprocess.run(
            [self.python, "manage.py", *command],
            cwd=self.folder,
            env=BARE | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )

    def command_of(self, unit: str) -> list[str]:
        """Return what the unit starts, in this folder."""
        [line] = re.findall(r"^ExecStart=(.+)$", (UNITS / unit).read_text(), re.MULTILINE)
        return [word.replace("/srv/smsproxy", str(self.folder)) for word in line.split()]

    def start(self, command: list[str], log: Path, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a service. It runs as nobody and can write to nothing but its own /tmp, if this test runs as root."""
        if os.geteuid() == 0:
            command = [*_confinement(), *command]
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                # systemd hands over .env, which only root can read, in another file.
                env=BARE | {"PYTHONUNBUFFERED": "1"} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _python() -> str:
    """Return an interpreter that another user can run: that of the tests may be in root's home directory."""
    if os.geteuid() != 0:
        return sys.executable
    candidates = [os.path.realpath(sys.executable), "/usr/bin/python3"]
    for candidate in candidates:
        with suppress(OSError):
            tried = subprocess.run([candidate, "-c", "import ensurepip"], user=NOBODY, cwd="/", check=False)
            if tried.returncode == 0:
                return candidate
    raise AssertionError(f"no Python with venv that another user can run: {candidates}. Install python3-venv.")


@cache
def _confinement() -> list[str]:
    """Return the command that runs another as nobody, on a read-only root where this machine allows mounts."""
    confined = ["unshare", "--mount", "sh", "-c", f'{_READ_ONLY} {_AS_NOBODY} "$@"', "sh"]
    can_mount = subprocess.run([*confined, "true"], capture_output=True, check=False).returncode == 0
    return confined if can_mount else _AS_NOBODY.split()

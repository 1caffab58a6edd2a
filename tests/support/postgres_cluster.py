"""A separate PostgreSQL server for one test, which may restart it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.support.demo_process import PATIENCE, free_port


class NoCluster(Exception):
    """PostgreSQL is not installed on this machine, or does not start."""


class Cluster:
    """A server with an empty database at `url`: `with Cluster() as cluster`. Raises NoCluster.

    configuration: lines for postgresql.conf, such as "log_statement=all". parent: the directory for its files.
    """

    def __init__(self, *configuration: str, parent: Path | None = None) -> None:
        self._configuration = configuration
        self._parent = parent

    def __enter__(self) -> "Cluster":
        self._programs = _programs()
        self._user = unprivileged()
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        # Not in the test's directory: the server runs as another user, who may not enter it.
        self._directory = Path(tempfile.mkdtemp(prefix="cluster-", dir=self._parent))
        try:
            if self._user is not None:
                os.chown(self._directory, self._user, -1)
            self._create()
            with (self._directory / "data" / "postgresql.conf").open("a") as file:
                file.writelines(f"{line}\n" for line in self._configuration)
            self.start()
        except NoCluster:
            shutil.rmtree(self._directory)
            raise
        return self

    def _create(self) -> None:
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")

    def __exit__(self, *exc_info: object) -> None:
        with suppress(NoCluster):  # A test may have killed it.
            self._run("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(self._directory)

    def start(self) -> None:
        # fsync may be off: tests kill the server, never the machine.
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--log", str(self._directory / "log"), "--options", options)

    def kill(self) -> None:
        """Kill all processes of the server at once, as if its machine were gone."""
        postmaster = int((self._directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End all connections and stop the server, until `start`."""
        self._run("pg_ctl", "stop", "--mode=fast")

    def restart(self, mode: str) -> None:
        """Restart the server. mode: "fast" ends all connections cleanly; "immediate" crashes the server."""
        self._run("pg_ctl", "restart", "--wait", f"--mode={mode}", "--log", str(self._directory / "log"))

    def query(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def read_log(self) -> str:
        """Return what the server has logged so far."""
        return (self._directory / "log").read_text(errors="replace")

    @contextmanager
    def locking(self, table: str) -> Iterator[None]:
        """Lock the table while the body runs, as a migration that changes it does."""
        with psycopg.connect(self.url) as connection:
            connection.execute(f"LOCK TABLE {table}".encode())
            yield

    def _run(self, program: str, *arguments: str) -> None:
        try:
            subprocess.run(
                [self._programs / program, f"--pgdata={self._directory / 'data'}", *arguments],
                check=True,
                user=self._user,
                group=None if self._user is None else pwd.getpwuid(self._user).pw_gid,
                extra_groups=None if self._user is None else [],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=2 * PATIENCE,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NoCluster(f"{program} failed: {error}") from None


class Standby(Cluster):
    """A server that follows another one, which is `primary`: `with Standby(primary) as standby`.

    The primary waits for it at each commit.
    """

    def __init__(self, primary: Cluster, *, parent: Path | None = None) -> None:
        # It follows again soon after the primary's restart.
        super().__init__("wal_retrieve_retry_interval=100ms", parent=parent)
        self._primary = primary

    def __enter__(self) -> "Standby":
        super().__enter__()
        self._primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._primary.query("SELECT pg_reload_conf()")
        return self

    def _create(self) -> None:
        source = ["--host=127.0.0.1", f"--port={self._primary.port}", "--username=postgres"]
        self._run("pg_basebackup", *source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")

    def promote(self) -> None:
        """Make it a primary of its own."""
        self._run("pg_ctl", "promote", "--wait")


def _programs() -> Path:
    """Return the directory of initdb and pg_ctl, from the PATH or from Debian's place for them."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not installed:
        raise NoCluster("pg_ctl is not installed")
    return installed[-1].parent


def unprivileged() -> int | None:
    """Return the user to run PostgreSQL as, which refuses to run as root. None: the current user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise NoCluster("neither of the users postgres and nobody exists")

"""A PostgreSQL server of a test's own, which it may restart as it likes."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.demo_process import PATIENCE, free_port


class NoCluster(Exception):
    """This machine has no PostgreSQL to start, or it does not start."""


class Cluster:
    """`with Cluster() as cluster`: an empty database at cluster.url. Raises NoCluster."""

    def __enter__(self) -> "Cluster":
        self._programs = _programs()
        self._user = _unprivileged()
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        # Not in the test's own directory, which other users may not enter.
        self._directory = Path(tempfile.mkdtemp(prefix="cluster-"))
        try:
            if self._user is not None:
                os.chown(self._directory, self._user, -1)
            self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")
            # It is only the server that is killed here, never the machine.
            options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
            self._run("pg_ctl", "start", "--wait", "--log", str(self._directory / "log"), "--options", options)
        except NoCluster:
            shutil.rmtree(self._directory)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(self._directory)

    def restart(self, mode: str) -> None:
        """mode: "fast" ends all connections in good order; "immediate" is a crash of the server."""
        self._run("pg_ctl", "restart", "--wait", f"--mode={mode}", "--log", str(self._directory / "log"))

    def query(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    @contextmanager
    def locking(self, table: str) -> Iterator[None]:
        """As a migration does that changes it."""
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


def _programs() -> Path:
    """Where initdb and pg_ctl are: on the PATH, or where Debian keeps them."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not installed:
        raise NoCluster("there is no pg_ctl")
    return installed[-1].parent


def _unprivileged() -> int | None:
    """PostgreSQL refuses to run as root: then whom it runs as."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise NoCluster("there is no user for it")

"""Debian's PgBouncer in front of a test's PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.demo_process import PATIENCE, free_port
from tests.support.postgres_cluster import Cluster, unprivileged

# Databases of the pooler, by the mode of their pool. All of them are one database of the server.
MODES = ("transaction", "session", "statement")


class NoPgBouncer(Exception):
    """PgBouncer is not installed on this machine, or does not start."""


class PgBouncer:
    """A running pooler: `with PgBouncer(cluster, pool_size=3) as pgbouncer`. Raises NoPgBouncer.

    pool_size: connections to the server, of each pool. options: more lines for its configuration.
    """

    def __init__(self, cluster: Cluster, *options: str, pool_size: int = 3) -> None:
        self._server = f"host=127.0.0.1 port={cluster.port} dbname=postgres user=postgres"
        self._options = [f"default_pool_size={pool_size}", *options]
        self.port = free_port()

    def url(self, mode: str = "transaction") -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{mode}"

    def __enter__(self) -> "PgBouncer":
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin")
        if program is None:
            raise NoPgBouncer("pgbouncer is not installed")
        user = unprivileged()  # As PostgreSQL, it refuses to run as root.
        self._directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        (self._directory / "users").write_text('"postgres" ""\n')
        self._file = self._directory / "pgbouncer.ini"
        self._file.write_text(self._configuration())
        if user is not None:
            os.chown(self._directory, user, -1)
        self._process = subprocess.Popen(
            [program, str(self._file)],
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                log = self.log
                self.__exit__()
                raise NoPgBouncer(f"pgbouncer does not start: {log}")
            time.sleep(0.02)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory)

    def show(self, what: str) -> list[dict[str, str]]:
        """Return the rows of a SHOW command, such as "pools"."""
        with psycopg.connect(self._admin, autocommit=True) as console:
            cursor = psycopg.ClientCursor(console)  # The console has no extended protocol.
            rows = cursor.execute(sql.SQL("SHOW {}").format(sql.SQL(what)))
            names = [column.name for column in rows.description or ()]
            return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]

    @property
    def log(self) -> str:
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def _admin(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/pgbouncer"

    def _answers(self) -> bool:
        try:
            self.show("version")
        except psycopg.OperationalError:
            return False
        return True

    def _configuration(self) -> str:
        return "\n".join(
            [
                "[databases]",
                *(f"{mode} = {self._server} pool_mode={mode}" for mode in MODES),
                "[pgbouncer]",
                f"listen_addr=127.0.0.1\nlisten_port={self.port}\nunix_socket_dir=",
                f"auth_type=trust\nauth_file={self._directory / 'users'}\nadmin_users=postgres",
                f"logfile={self._directory / 'log'}",
                "max_client_conn=500",
                "server_login_retry=1",
                *self._options,
                "",
            ]
        )

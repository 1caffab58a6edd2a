"""The real gunicorn, with our gunicorn.conf.py, on a free port and with a separate database."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.demo_process import ROOT, free_port

SIGNATURE_SECRET = "mySignatureSecret0123456789abcdef"  # that of tests/settings.py
PATIENCE = 60  # seconds
# A new SQLite database, once one was migrated. Migrating takes seconds.
_migrated: list[bytes] = []


class Gunicorn:
    """A running web server, whose log is `log`: `with Gunicorn(directory) as server`."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "gunicorn.log"
        self.port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "ENV_FILE": "/no/such/file",
            "SECRET_KEY": "a secret key for tests",
            "ENCRYPTION_KEYS": "tHqO0P5cwAq3b5xhrnbwIs1oTTPgTDkhbRYBbIHzUcM=",
            "NUMBER_HASH_KEY": "a lookup key for tests only, 32 characters or more",
            "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
            "VONAGE_SIGNATURE_SECRET": SIGNATURE_SECRET,
            "ALLOWED_COUNTRIES": "*",
            "MESSAGES_PER_PERSON_MINUTE": "100000",
            "MESSAGES_PER_PERSON_DAY": "100000",
            "MESSAGES_PER_CONVERSATION_MINUTE": "100000",
        }

    def __enter__(self) -> "Gunicorn":
        self.migrate()
        self._output = self._log.open("w")
        command = [sys.executable, "-m", "gunicorn", "smsproxy.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=self._output, stderr=subprocess.STDOUT
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.send(b"GET /webhooks/vonage/inbound-sms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    raise AssertionError(f"gunicorn did not start:\n{self.log}") from None
                time.sleep(0.1)
            else:
                return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def migrate(self) -> None:
        """Migrate the database. A new one on SQLite becomes a copy of the first one that was migrated."""
        file = Path(self.environment["DATABASE_URL"].removeprefix("sqlite:///"))
        if not file.is_absolute() or file.exists():
            self.manage("migrate", "--verbosity", "0")
            return
        if not _migrated:
            self.manage("migrate", "--verbosity", "0")
            _migrated.append(file.read_bytes())
        file.write_bytes(_migrated[0])

    def manage(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, *pieces: bytes) -> bytes:
        """Send these bytes, close our side, and return everything that the server answers."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while received := connection.recv(65536):
                answer += received
        return answer

    @property
    def log(self) -> str:
        return self._log.read_text()

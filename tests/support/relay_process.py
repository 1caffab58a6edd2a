"""The real `manage.py relay` as processes, under the product's own settings, against the stub carrier."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

from conversations.models import Worker
from tests.support.demo_process import BARE, PATIENCE, ROOT
from tests.support.stub_carrier import StubCarrier

_AS_MANAGE_PY = "from django.core.management import execute_from_command_line as run; import sys; run(sys.argv)"


class Relays:
    """Worker processes: `with Relays(directory, stub, SEND_LEASE_SECONDS="5") as relays`.

    `relays.start()` starts one more. They use the test's database unless DATABASE_URL names another. `relays.log` is
    their log.
    """

    def __init__(self, directory: Path, stub: StubCarrier, **settings: str) -> None:
        self._path = directory / "relays.log"
        self._processes: list[subprocess.Popen[str]] = []
        self.environment = BARE | {
            "DJANGO_SETTINGS_MODULE": "smsproxy.settings",
            "ENV_FILE": "/no/such/file",
            "SECRET_KEY": "a secret key for tests",
            "ENCRYPTION_KEYS": "tHqO0P5cwAq3b5xhrnbwIs1oTTPgTDkhbRYBbIHzUcM=",
            "NUMBER_HASH_KEY": "a lookup key for tests only, 32 characters or more",
            "ALLOWED_HOSTS": "sms.example.com",
            "PUBLIC_URL": "https://sms.example.com",
            "CARRIER": "vonage",
            "VONAGE_API_KEY": "abcd1234",
            "VONAGE_API_SECRET": "secret-of-the-api",
            "VONAGE_SIGNATURE_SECRET": "mySignatureSecret0123456789abcdef",
            "VONAGE_REST_HOST": stub.host,
            "REQUESTS_CA_BUNDLE": str(stub.ca),
            "CARRIER_REQUESTS_PER_SECOND": "100000",
            "NUMBER_SEGMENTS_PER_SECOND": "*=100000",
            "DAILY_BUDGET": "0",
            "SEND_LEASE_SECONDS": "5",
            "CARRIER_TIMEOUT_SECONDS": "2",
            "UNKNOWN_OUTCOME_TIMEOUT_SECONDS": "1",
            **settings,
        }
        self.environment.setdefault("DATABASE_URL", url_of_the_test())

    def __enter__(self) -> "Relays":
        self._log = self._path.open("w")
        return self

    def __exit__(self, *exc_info: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._log.close()
        if exc_info[0] is not None:
            sys.stdout.write(self.log[-5000:])  # pytest shows it with the failure.

    def start(self, *options: str, changes: str = "") -> "subprocess.Popen[str]":
        """Start one more worker, and return its process. changes: statements that it runs first."""
        program = ["-c", f"import django\ndjango.setup()\n{changes}\n{_AS_MANAGE_PY}"] if changes else ["manage.py"]
        process = subprocess.Popen(
            [sys.executable, *program, "relay", *options],
            cwd=ROOT,
            env=self.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def wait_for(self, process: "subprocess.Popen[str]") -> None:
        """Wait for the first heartbeat of a worker, which shows that it has started."""
        sign = Worker.objects.filter(name__contains=f"process {process.pid} ")
        wait_until(lambda: sign.exists() or process.poll() is not None)
        assert process.poll() is None, "the worker has ended"

    @property
    def log(self) -> str:
        return self._path.read_text()


def wait_until(condition: Any, seconds: float = PATIENCE, every: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(every)


def url_of_the_test() -> str:
    options = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{options['NAME']}"
    login = ":".join(quote(str(options[name]), safe="") for name in ("USER", "PASSWORD") if options[name])
    place = ":".join(str(options[name]) for name in ("HOST", "PORT") if options[name])
    return f"postgres://{login}{'@' if login else ''}{place}/{options['NAME']}"

"""The stub carrier as a process, and the messages that reached it."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.demo_process import ROOT


@dataclass(frozen=True)
class Arrival:
    """A message that reached the carrier. at: time.monotonic()."""

    at: float
    sender: str
    recipient: str
    text: str
    client_ref: str
    message_id: str = ""


class CarrierProcess:
    """Runs until `stop`. latency: seconds per request."""

    def __init__(self, directory: Path, latency: float) -> None:
        command = [sys.executable, "-m", "benchmarks.stub_carrier", "--dir", str(directory), "--latency", str(latency)]
        self._asking = threading.Lock()
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        # Environment with which our processes find and trust the stub.
        port = self._heard()
        self.environment = {
            "VONAGE_REST_HOST": f"127.0.0.1:{port}",
            # Workers look at its certificate, which is valid here.
            "PUBLIC_URL": f"https://localhost:{port}",
            "REQUESTS_CA_BUNDLE": str(directory / "ca.pem"),
        }

    def count(self) -> int:
        """Return the number of messages since the start."""
        return int(self._ask("count"))

    def take(self) -> list[Arrival]:
        """Return the messages that arrived since the last call."""
        return [Arrival(*fields) for fields in self._ask("take")]

    def behave(self, mode: str) -> None:
        """Change how the stub behaves. mode: see benchmarks/stub_carrier.py."""
        self._ask(f"mode {mode}")

    def stop(self) -> None:
        self._process.communicate(timeout=60)

    def _ask(self, question: str) -> Any:
        assert self._process.stdin
        with self._asking:
            self._process.stdin.write(f"{question}\n")
            return self._heard()

    def _heard(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

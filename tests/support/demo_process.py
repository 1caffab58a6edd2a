"""The real `manage.py demo` as a process, with its data in a directory of the test."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent.parent
BARE = {"PATH": os.environ["PATH"]}
PATIENCE = 60  # seconds


class Demo:
    """A running demo that answers at `url`: `with Demo(directory) as demo`. stop: the signal that ends it."""

    def __init__(self, directory: Path, stop: signal.Signals = signal.SIGINT) -> None:
        self.directory = directory
        self.stop = stop
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> "Demo":
        self._output = (self.directory / "output.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(self.port)],
            cwd=ROOT,
            env=BARE | {"DEMO_DIRECTORY": str(self.directory)},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + PATIENCE
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise AssertionError(f"the demo did not start:\n{self.first_lines}")
            time.sleep(0.1)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(self.stop)
        try:
            self.returncode = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.returncode = self._process.wait()
        self._output.close()

    def _is_up(self) -> bool:
        """Return whether the demo answers and its first texts have arrived."""
        try:
            state = self.state()
        except (URLError, TimeoutError):
            return False
        return len(state["phones"]) == 2 and all(phone["threads"] for phone in state["phones"])

    def state(self) -> dict[str, Any]:
        with urlopen(f"{self.url}simulator/state", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    @property
    def first_lines(self) -> str:
        return (self.directory / "output.txt").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

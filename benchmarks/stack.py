"""The processes of one figure: the stub carrier, the web server as in production, and workers."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.carrier import Arrival, CarrierProcess
from benchmarks.processes import PATIENCE, Process
from conversations.models import OutboundMessage
from tests.support.demo_process import free_port

LAST_LINES = 30  # lines of a log to show
LONGEST_BACKLOG = 300  # seconds


class NotRunning(Exception):
    """A process ended or does not answer. Its log says why."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """How the site is served. workers, threads: None means the value of gunicorn.conf.py."""

    name: str = "gunicorn"
    workers: int | None = None
    threads: int | None = None

    def command(self, port: int) -> list[str]:
        if self.name == "granian":
            counts = ["--workers", str(self.workers or 2), "--blocking-threads", str(self.threads or 8)]
            serve = ["granian", "--interface", "wsgi", "--port", str(port), *counts, "smsproxy.wsgi:application"]
        else:
            asked = {"--workers": self.workers, "--threads": self.threads}
            counts = [word for option, count in asked.items() if count for word in (option, str(count))]
            serve = ["gunicorn", "smsproxy.wsgi", "--bind", f"127.0.0.1:{port}", *counts]
        return [sys.executable, "-m", *serve]


class Stack:
    """Use `Bench.stack`."""

    def __init__(self, environment: dict[str, str], directory: Path, server: Server, latency: float) -> None:
        self._directory = directory
        self._server = server
        self._processes: list[Process] = []
        self.port = free_port()
        self.carrier = CarrierProcess(directory, latency)
        self._environment = environment | self.carrier.environment

    def start_web(self) -> Process:
        """Return once the server answers."""
        web = self._start("web", self._server.command(self.port))
        end = time.monotonic() + PATIENCE
        while not _answers(self.port):
            if web.has_ended or time.monotonic() > end:
                raise NotRunning("the web server does not answer")
            time.sleep(0.1)
        return web

    def start_worker(self) -> Process:
        return self._start("worker", [sys.executable, "manage.py", "relay", "--concurrency", "50"])

    def sent(self) -> list[Arrival]:
        """Wait until the outbox is empty, and return the messages since the last call."""
        end = time.monotonic() + LONGEST_BACKLOG
        while OutboundMessage.objects.unfinished().exists():
            if any(process.has_failed for process in self._processes):
                raise NotRunning("a process has ended")
            if time.monotonic() > end:
                raise TimeoutError(f"after {LONGEST_BACKLOG} seconds the outbox is not empty")
            time.sleep(0.2)
        return self.carrier.take()

    def logs(self) -> str:
        """Return the last log lines of each process."""
        return "\n".join(
            f"== {path.name}\n" + "\n".join(path.read_text().splitlines()[-LAST_LINES:])
            for path in sorted(self._directory.glob("*.log"))
        )

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
        self.carrier.stop()

    def _start(self, name: str, command: list[str]) -> Process:
        log = self._directory / f"{name}-{len(self._processes)}.log"
        process = Process(command, self._environment, log)
        self._processes.append(process)
        return process


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The inputs of a figure. quick: only check that it runs."""

    environment: dict[str, str]
    directory: Path
    server: Server = Server()
    quick: bool = False

    def some(self, count: int) -> int:
        return max(64, count // 20) if self.quick else count

    @contextmanager
    def stack(self, *, latency: float = 0.1) -> Iterator[Stack]:
        """latency: seconds per request at the carrier."""
        stack = Stack(self.environment, self.directory, self.server, latency)
        try:
            yield stack
        except Exception:
            sys.stderr.write(f"{stack.logs()}\n")
            raise
        finally:
            stack.stop()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

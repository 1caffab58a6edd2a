"""The site under test: the web server, two workers, their database and the carrier. Faults are done to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from django.conf import settings
from django.db import connection

from benchmarks.processes import PATIENCE, Process
from benchmarks.seeding import talking_people
from benchmarks.stack import NotRunning, Server, Stack
from benchmarks.traffic import Line
from conversations.models import Worker
from smsproxy.api.models import ApiKey
from tests.support.postgres_cluster import Cluster

WORKERS = 2
LATENCY = 0.1  # Seconds that the carrier takes for a message.


@dataclass
class Site:
    """Use `running_site`. lines: who writes to whom. key: an API key, which may read /metrics."""

    cluster: Cluster
    stack: Stack
    web: Process
    lines: list[Line]
    key: str
    workers: list[Process] = field(default_factory=list)
    secrets: list[str] = field(default_factory=lambda: list(settings.VONAGE_SIGNATURE_SECRETS))

    def start_workers(self, count: int = WORKERS) -> None:
        self.workers += [self.stack.start_worker() for _ in range(count)]

    def kill_workers(self, count: int = WORKERS) -> None:
        for _ in range(count):
            self.workers.pop(0).kill()

    def replace_workers(self) -> None:
        """Start new workers, then stop the old ones."""
        old, self.workers = self.workers, []
        self.start_workers()
        for worker in old:
            worker.stop()

    def restart_workers(self) -> None:
        """Stop all workers, then start new ones, as `systemctl restart` does."""
        while self.workers:
            self.workers.pop().stop()
        self.start_workers()

    def sign_with(self, secret: str) -> None:
        """Have the carrier sign with this secret. "": the right one."""
        settings.VONAGE_SIGNATURE_SECRETS = [secret] if secret else self.secrets


@contextmanager
def running_site(cluster: Cluster, environment: dict[str, str], logs: Path, conversations: int) -> Iterator[Site]:
    """Start everything. environment: that of this process, too, so that both use the same database."""
    lines = talking_people(conversations)
    _, key = ApiKey.objects.issue("prometheus", scopes="read")
    connection.close()  # A fault may end it.
    stack = Stack(environment, logs, Server(), LATENCY)
    try:
        site = Site(cluster, stack, stack.start_web(), lines, key)
        site.start_workers()
        _wait_until_up(site)
        yield site
    finally:
        stack.stop()


def _wait_until_up(site: Site) -> None:
    """Wait until both web processes serve and both workers have started."""
    end = time.monotonic() + PATIENCE
    # A connection reaches either web process, by chance.
    for _ in range(10):
        client = HTTPConnection("127.0.0.1", site.stack.port, timeout=PATIENCE)
        client.request("GET", "/readyz", headers={"Host": "localhost"})
        client.getresponse().read()
        client.close()
    while Worker.objects.count() < WORKERS:
        if time.monotonic() > end:
            raise NotRunning("the workers do not start")
        time.sleep(0.2)
    connection.close()

"""Watch the site from outside, as its operators do: /readyz each second, /metrics each ten, and staff who decide."""

import asyncio
import http.client
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.soak.faults import NOT_READY
from conversations.models import OutboundMessage
from smsproxy.database.clock import database_now
from smsproxy.states import StaleState

READYZ_EVERY = 1.0  # seconds
METRICS_EVERY = 10.0  # seconds
STAFF = "staff of the soak"
STAFF_EVERY = 10.0  # seconds
TIMEOUT = 20.0  # seconds
_BEGAN, _ENDED = (re.compile(rf"trouble (\w+) {what}") for what in ("began: ", "ended after "))


@dataclass(frozen=True)
class Look:
    """An answer of /readyz. at: when it came, Unix time. shown: ids of troubles, and NOT_READY."""

    at: float
    shown: frozenset[str]


class Watcher:
    """looks: the answers of /readyz. counters: by /metrics. problems: what was wrong with these two."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self.looks: list[Look] = []
        self.problems: list[str] = []
        self.scrapes = 0
        self.failed_scrapes_at: list[float] = []
        self.scrape_seconds: list[float] = []
        self.counters: dict[str, float] = {}

    async def watch_health(self) -> None:
        while True:
            self.looks.append(await asyncio.to_thread(self._look))
            await asyncio.sleep(READYZ_EVERY)

    async def watch_metrics(self) -> None:
        while True:
            await asyncio.to_thread(self._scrape)
            await asyncio.sleep(METRICS_EVERY)

    async def decide(self, may_decide: Callable[[], bool]) -> None:
        """Play the staff: send messages of unknown outcome again, once the alarm is seen and the fault is over."""
        while True:
            await asyncio.sleep(STAFF_EVERY)
            if may_decide() and "undecided" in self.shown:
                await asyncio.to_thread(_send_again)

    @property
    def shown(self) -> frozenset[str]:
        """Return what /readyz showed last."""
        return self.looks[-1].shown if self.looks else frozenset()

    def _look(self) -> Look:
        try:
            try:
                status, body = self._get("/readyz")
            except ConnectionError:  # A web process was killed. The other one answers.
                status, body = self._get("/readyz")
            answer = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.problems.append(f"/readyz: {type(error).__name__}")
            return Look(time.time(), frozenset())
        if (status == 200) == bool(answer["reasons"]):
            self.problems.append(f"/readyz answered {status} with {len(answer['reasons'])} reasons")
        shown = {each["id"] for each in answer["troubles"]}
        return Look(time.time(), frozenset(shown | ({NOT_READY} if status != 200 else set())))

    def _scrape(self) -> None:
        self.scrapes += 1
        began = time.monotonic()
        try:
            status, body = self._get("/metrics", Authorization=f"Bearer {self._key}")
        except (OSError, http.client.HTTPException):
            status, body = 0, ""
        if status != 200:
            self.failed_scrapes_at.append(time.time())
            return
        self.scrape_seconds.append(time.monotonic() - began)
        counters = read_counters(body)
        self.problems += fallen(self.counters, counters)
        self.counters |= counters

    def _get(self, path: str, **headers: str) -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            client.request("GET", path, headers={"Host": "localhost", "X-Forwarded-Proto": "https", **headers})
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        finally:
            client.close()


def read_counters(exposition: str) -> dict[str, float]:
    """Return each series that may only grow: counters, and the buckets, sums and counts of histograms."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(exposition)
        if family.type in ("counter", "histogram", "summary")
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def fallen(before: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    return [
        f"/metrics: {name} fell from {before[name]:g} to {value:g}"
        for name, value in now.items()
        if value < before.get(name, value)
    ]


def logged(directory: Path) -> Mapping[str, Counter[str]]:
    """Return how often the logs say that each trouble began and ended."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for path in directory.glob("*.log"):
        text = path.read_text(errors="replace")
        found["began"].update(_BEGAN.findall(text))
        found["ended"].update(_ENDED.findall(text))
    return found


def _send_again() -> None:
    """Send each message again that awaits a decision, as the action in the admin does."""
    try:
        for message in OutboundMessage.objects.awaiting_decision(database_now()):
            with suppress(StaleState):
                message.resend(reason="staff: send again", actor=STAFF)
    except (DatabaseError, InterfaceError):
        pass
    finally:
        connection.close()

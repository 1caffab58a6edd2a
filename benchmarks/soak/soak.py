"""Run a soak: traffic and faults together, until everything is settled."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import connection

from benchmarks.soak.carrier_side import CarrierSide
from benchmarks.soak.faults import Fault, timetable
from benchmarks.soak.site import Site
from benchmarks.soak.verdict import Done
from benchmarks.soak.watcher import Watcher
from conversations.models import OutboundMessage
from conversations.models.outbound_state import UNSETTLED, OutboundState

# Seconds for all texts to arrive and all troubles to end, after the last text was sent in. A busy machine needs long.
PATIENCE = 600.0
LOAD_EVERY = 5.0  # seconds


@dataclass
class Soak:
    """seconds: of traffic. rate: texts a second. faults: their names. done, load: what happened.

    quick: end each fault once its troubles are shown, begin the next one once none is, and end with the last one.
    """

    site: Site
    seconds: float
    rate: float
    faults: Sequence[str]
    quick: bool
    tell: Callable[[str], None]
    done: list[Done] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.carrier = CarrierSide(self.site.stack.port, self.site.stack.carrier, self.site.lines, self.rate)
        self.watcher = Watcher(self.site.stack.port, self.site.key)
        self._is_faulty = False

    def run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        beside = [
            asyncio.create_task(work)
            for work in (
                self.carrier.send_receipts(),
                self.watcher.watch_health(),
                self.watcher.watch_metrics(),
                self.watcher.decide(lambda: not self._is_faulty),
                self._watch_load(),
            )
        ]
        end = time.monotonic() + self.seconds
        faults = asyncio.create_task(self._do_faults())
        await self.carrier.send_texts(lambda: faults.done() if self.quick else time.monotonic() > end)
        await faults
        await self._settle()
        for task in beside:
            task.cancel()
        for task in beside:
            with suppress(asyncio.CancelledError):
                await task

    async def _do_faults(self) -> None:
        start = time.monotonic()
        for at, fault in timetable(self.faults, self.seconds):
            if not self.quick:
                await asyncio.sleep(max(0.0, start + at - time.monotonic()))
            self.tell(f"{time.monotonic() - start:.0f} s: {fault.what}")
            self.done.append(await self._do(fault))
            if self.quick:
                await self._wait(fault.calm, until=lambda: not self.watcher.shown)

    async def _do(self, fault: Fault) -> Done:
        began, self._is_faulty = time.time(), True
        try:
            await asyncio.to_thread(fault.begin, self.site)
            await self._wait(fault.lasts, until=lambda: self.quick and self.watcher.shown >= fault.expected.keys())
        finally:
            await asyncio.to_thread(fault.end, self.site)
            self._is_faulty = False
        return Done(fault, began, time.time())

    async def _wait(self, seconds: float, *, until: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            await asyncio.sleep(0.1)

    async def _settle(self) -> None:
        """Wait until nothing is under way and no trouble is active. The verdict names what still is."""
        self.tell("waiting until everything is settled")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            await asyncio.sleep(1)
            is_quiet = self.carrier.is_idle and not self.watcher.shown
            if is_quiet and not await asyncio.to_thread(_has_unsettled):
                return

    async def _watch_load(self) -> None:
        while True:
            self.load.append(os.getloadavg()[0])
            await asyncio.sleep(LOAD_EVERY)


def _has_unsettled() -> bool:
    """Return whether a message has no delivery receipt yet."""
    try:
        return OutboundMessage.objects.filter(state__in=[*UNSETTLED, OutboundState.SENT]).exists()
    finally:
        connection.close()

"""What the carrier does: it posts texts and delivery receipts, and repeats each until it is accepted."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from benchmarks import http_load
from benchmarks.carrier import Arrival, CarrierProcess
from benchmarks.traffic import WEBHOOK, Line, Text, webhook
from smsproxy.carriers.base import Receipt, ReceiptStatus
from smsproxy.carriers.vonage.webhooks import write_receipt

RECEIPTS = "/webhooks/vonage/delivery-receipt"
PATIENCE = 20.0  # Seconds to wait for an answer.
REPEAT_AFTER = (1.0, 2.0, 4.0, 8.0)  # Seconds. The last one is repeated.
RECEIPTS_EVERY = 0.25  # seconds
AT_ONCE = 64  # Requests that wait for an answer, of each kind.


@dataclass(frozen=True)
class Posted:
    """A text that was acknowledged. sent: the first try. answered: the acknowledgement. Both: time.monotonic()."""

    text: Text
    due: float
    sent: float
    answered: float
    tries: int


class CarrierSide:
    """posted: the acknowledged texts. arrived: at the carrier. answers: how often each status was the answer."""

    def __init__(self, port: int, carrier: CarrierProcess, lines: Sequence[Line], rate: float) -> None:
        self._port, self._carrier, self._lines, self._rate = port, carrier, lines, rate
        self._idle: list[http_load.Connection] = []
        self._numbers = Counter[int]()
        self._chance = random.Random(1)
        self._under_way: set[asyncio.Task[None]] = set()
        self._permits = {WEBHOOK: asyncio.Semaphore(AT_ONCE), RECEIPTS: asyncio.Semaphore(AT_ONCE)}
        self.sent_in = 0
        self.posted: list[Posted] = []
        self.arrived: list[Arrival] = []
        self.answers: dict[str, Counter[int]] = {WEBHOOK: Counter(), RECEIPTS: Counter()}

    async def send_texts(self, enough: Callable[[], bool]) -> None:
        """Send at the rate, whatever the answers are, until there are enough. Then wait for the acknowledgements."""
        start = time.monotonic()
        while not enough():
            due = start + self.sent_in / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._begin(self._send_text(self._next_text(), due))
        while self._under_way:
            # A failure of ours ends the soak.
            for task in (await asyncio.wait(self._under_way))[0]:
                task.result()

    async def send_receipts(self) -> None:
        """Report each message that arrives as delivered."""
        while True:
            await asyncio.sleep(RECEIPTS_EVERY)
            arrivals = await asyncio.to_thread(self._carrier.take)
            self.arrived += arrivals
            for arrival in arrivals:
                self._begin(self._send_receipt(arrival))

    @property
    def is_idle(self) -> bool:
        return not self._under_way

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _next_text(self) -> Text:
        line = self._chance.randrange(len(self._lines))
        self._numbers[line] += 1
        self.sent_in += 1
        return Text(line, self._numbers[line])

    async def _send_text(self, text: Text, due: float) -> None:
        sent = time.monotonic()
        tries = await self._post(WEBHOOK, lambda: webhook(self._lines[text.line], text))
        self.posted.append(Posted(text, due, sent, time.monotonic(), tries))

    async def _send_receipt(self, arrival: Arrival) -> None:
        receipt = Receipt(
            carrier_message_id=arrival.message_id, client_ref=arrival.client_ref, status=ReceiptStatus.DELIVERED
        )
        sender, recipient = f"+{arrival.sender}", f"+{arrival.recipient}"
        await self._post(
            RECEIPTS, lambda: json.dumps(write_receipt(receipt, sender=sender, recipient=recipient)).encode()
        )

    async def _post(self, path: str, body: Callable[[], bytes]) -> int:
        """Post until the answer is 200. Each try is signed at its own time. Return the number of tries."""
        tries = 0
        while True:
            async with self._permits[path]:
                status = await self._try(http_load.post(path, body()))
            self.answers[path][status] += 1
            if status == 200:
                return tries + 1
            await asyncio.sleep(REPEAT_AFTER[min(tries, len(REPEAT_AFTER) - 1)])
            tries += 1

    async def _try(self, request: bytes) -> int:
        """Return the status of the answer, 0 if there was none in time."""
        connection = self._idle.pop() if self._idle else http_load.Connection(self._port)
        try:
            exchange = await asyncio.wait_for(connection.ask(request), PATIENCE)
        except (OSError, TimeoutError):
            connection.close()
            return 0
        self._idle.append(connection)
        return exchange.status

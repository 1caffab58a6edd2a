"""Send prepared HTTP requests, closed-loop or paced. Cheap, since the load generator shares the cores."""

import asyncio
import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_TRIES = 5
HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. due: the time it should be sent. All times: time.monotonic()."""

    due: float
    sent: float
    answered: float
    status: int

    @property
    def milliseconds(self) -> float:
        """Seconds since it was due, so that a server that delays later requests does not look faster."""
        return (self.answered - self.due) * 1000


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def at_once(port: int, requests: Sequence[bytes], *, connections: int) -> list[Exchange]:
    """Send requests over several connections, each sending its next request after an answer.

    Request i uses connection i modulo their number. Exchanges are in the order of the requests.
    """

    async def work() -> list[Exchange]:
        shares = [requests[first::connections] for first in range(connections)]
        done = await asyncio.gather(*(_one_after_the_other(port, share) for share in shares))
        return [done[index % connections][index // connections] for index in range(len(requests))]

    return asyncio.run(work())


def paced(port: int, requests: Sequence[bytes], *, rate: float) -> list[Exchange]:
    """Send at a fixed rate, regardless of the answers."""

    async def work() -> list[Exchange]:
        idle: list[Connection] = []
        start = time.monotonic() + 0.05
        tasks = []
        for index, request in enumerate(requests):
            due = start + index / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            tasks.append(asyncio.create_task(_with_an_idle_one(idle, port, request, due)))
        exchanges = await asyncio.gather(*tasks)
        for connection in idle:
            connection.close()
        return exchanges

    return asyncio.run(work())


def per_second(exchanges: Sequence[Exchange]) -> float:
    took = max(each.answered for each in exchanges) - min(each.sent for each in exchanges)
    return len(exchanges) / took


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


class Connection(asyncio.Protocol):
    """A connection that stays open between requests and reconnects after the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[int] | None = None

    async def ask(self, request: bytes, due: float | None = None) -> Exchange:
        """Resend a request that got no answer, as Vonage does."""
        sent = time.monotonic()
        for tries in range(1, MOST_TRIES + 1):
            if self._transport is None:
                await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
            assert self._transport
            self._answer = asyncio.get_running_loop().create_future()
            self._transport.write(request)
            try:
                status = await self._answer
                break
            except ConnectionError:
                if tries == MOST_TRIES:
                    raise
        return Exchange(sent if due is None else due, sent, time.monotonic(), status)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._received = b""
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found:
            return
        length = _LENGTH.search(head)
        if len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            assert self._answer
            self._answer.set_result(int(head.split(b" ", 2)[1]))


async def _one_after_the_other(port: int, requests: Sequence[bytes]) -> list[Exchange]:
    connection = Connection(port)
    try:
        return [await connection.ask(request) for request in requests]
    finally:
        connection.close()


async def _with_an_idle_one(idle: list[Connection], port: int, request: bytes, due: float) -> Exchange:
    # Reuse the latest connection, so that the server can close idle ones.
    connection = idle.pop() if idle else Connection(port)
    try:
        return await connection.ask(request, due)
    finally:
        idle.append(connection)

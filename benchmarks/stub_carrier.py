"""The benchmarks' carrier: Vonage's SMS API on 127.0.0.1, cheap enough to share the cores with the rest.

`python -m benchmarks.stub_carrier --dir DIR --latency 0.1` writes ca.pem to DIR and prints its port. Then it answers
each line on standard input with a line of JSON. `count` returns the number of messages. `take` returns and forgets
them. `mode MODE` changes how it behaves from now on. The process ends at the end of its input.

| mode | a request |
|---|---|
| accept | is accepted |
| refuse | cannot be made: connections are refused |
| busy | gets 503, and is not accepted |
| silent | gets no answer, and is not accepted |
| no_credit | is rejected: the account has no credit |
"""

import argparse
import asyncio
import json
import re
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs

from tests.support.certificate import tls_context

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Stub:
    """latency: seconds between request and answer."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.mode = "accept"
        # The time (time.monotonic(), one clock for all processes), the message id and the raw body, parsed later.
        self.texts: list[tuple[float, str, bytes]] = []
        self._count = 0

    def answer(self, body: bytes) -> bytes:
        """Return the answer to a request, b"" for no answer."""
        if self.mode == "silent":
            return b""
        if self.mode == "busy":
            return _reply("503 Service Unavailable", {})
        if self.mode == "no_credit":
            rejected = {"status": "9", "error-text": "Partner quota exceeded"}
            return _reply("200 OK", {"message-count": "1", "messages": [rejected]})
        self._count += 1
        message_id = f"stub-{self._count:016}"
        self.texts.append((time.monotonic(), message_id, body))
        form = parse_qs(body.decode())
        message = {
            "to": form["to"][0],
            "message-id": message_id,
            "status": "0",
            "remaining-balance": "3.14159265",
            "message-price": "0.03330000",
            "network": "23410",
            "client-ref": form["client-ref"][0],
        }
        return _reply("200 OK", {"message-count": "1", "messages": [message]})

    def reply_to(self, question: str) -> object:
        if question == "count":
            return self._count
        taken, self.texts = self.texts, []
        forms = [(at, message_id, parse_qs(body.decode())) for at, message_id, body in taken]
        names = ("from", "to", "text", "client-ref")
        return [[at, *(form[name][0] for name in names), message_id] for at, message_id, form in forms]


def _reply(status: str, content: object) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status.encode(),
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """Serve one connection, one request at a time."""

    def __init__(self, stub: Stub, is_open: "set[Connection]") -> None:
        self._stub = stub
        self._open = is_open
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self)

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if length and len(body) >= int(length[1]):
            self._received = b""
            if reply := self._stub.answer(body):
                asyncio.get_running_loop().call_later(self._stub.latency, self._transport.write, reply)


class Door:
    """The listening socket and the open connections."""

    def __init__(self, stub: Stub, tls: ssl.SSLContext) -> None:
        self._stub, self._tls = stub, tls
        self._connections: set[Connection] = set()
        self.port = 0

    async def open(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._stub, self._connections), "127.0.0.1", self.port, ssl=self._tls, backlog=500
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def change_mode(self, mode: str) -> None:
        before, self._stub.mode = self._stub.mode, mode
        if mode == "refuse" != before:
            self._server.close()
            for connection in list(self._connections):
                connection.abort()
        elif before == "refuse" != mode:
            await self.open()


async def serve(directory: Path, latency: float) -> None:
    stub = Stub(latency)
    door = Door(stub, tls_context(directory))
    await door.open()
    _say(door.port)
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while line := await questions.readline():
        question, _, mode = line.decode().strip().partition(" ")
        if question == "mode":
            await door.change_mode(mode)
            _say(mode)
        else:
            _say(stub.reply_to(question))


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stand-in for Vonage, for benchmarks.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds")
    options = parser.parse_args()
    asyncio.run(serve(options.dir, options.latency))

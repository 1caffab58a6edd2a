"""The benchmarks' carrier: Vonage's SMS API on 127.0.0.1, cheap enough to share the cores with the rest.

`python -m benchmarks.stub_carrier --dir DIR --latency 0.1` writes ca.pem to DIR and prints its port. Then it answers
each line on standard input with a line of JSON. `count` returns the number of messages. `take` returns and forgets
them. The process ends at the end of its input.
"""

import argparse
import asyncio
import json
import re
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
        # The time (time.monotonic(), one clock for all processes) and the raw body, parsed later.
        self.texts: list[tuple[float, bytes]] = []
        self._count = 0

    def answer(self, body: bytes) -> bytes:
        self.texts.append((time.monotonic(), body))
        self._count += 1
        form = parse_qs(body.decode())
        message = {
            "to": form["to"][0],
            "message-id": f"stub-{self._count:016}",
            "status": "0",
            "remaining-balance": "3.14159265",
            "message-price": "0.03330000",
            "network": "23410",
            "client-ref": form["client-ref"][0],
        }
        reply = json.dumps({"message-count": "1", "messages": [message]}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(reply),
            reply,
        )

    def reply_to(self, question: str) -> object:
        if question == "count":
            return self._count
        taken, self.texts = self.texts, []
        forms = [(at, parse_qs(body.decode())) for at, body in taken]
        return [[at, *(form[name][0] for name in ("from", "to", "text", "client-ref"))] for at, form in forms]


class Connection(asyncio.Protocol):
    """Serve one connection, one request at a time."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if length and len(body) >= int(length[1]):
            self._received = b""
            reply = self._stub.answer(body)
            asyncio.get_running_loop().call_later(self._stub.latency, self._transport.write, reply)


async def serve(directory: Path, latency: float) -> None:
    stub = Stub(latency)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", 0, ssl=tls_context(directory), backlog=500)
    _say(server.sockets[0].getsockname()[1])
    questions = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while question := await questions.readline():
        _say(stub.reply_to(question.decode().strip()))


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stand-in for Vonage, for benchmarks.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds")
    options = parser.parse_args()
    asyncio.run(serve(options.dir, options.latency))

"""gunicorn's threaded worker, changed so that no thread waits for a slow sender.

gunicorn's own worker gives each new connection to a thread, which then reads the request. A few clients that send one
byte every few seconds would occupy every thread. Here the main loop collects the requests of all connections at once.
A thread gets a request when all of it has arrived, and never reads from a connection itself.
"""

import re
import selectors
import socket
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.http import get_parser
from gunicorn.util import close
from gunicorn.workers.gthread import TConn, ThreadWorker

# Seconds in which a client must send its whole request, and what is left of them when the server stops.
REQUEST_DEADLINE = 30.0
STOP_DEADLINE = 2.0
# Seconds after which an incomplete request may have to make room. A good one is complete in milliseconds.
SLOW_AFTER = 1.0
# Bytes. Of a longer request only so much is read. That is more than any page of ours accepts.
MAX_REQUEST = 1536 * 1024
# Bytes that one process holds of the requests that are longer than a piece, until a thread reads them. Beyond that,
# incomplete ones are closed.
MAX_HELD = 64 * 1024 * 1024
PIECE = 64 * 1024

_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNKED = re.compile(rb"\ntransfer-encoding[ \t]*:[^\n]*chunked", re.IGNORECASE)
_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*0*([0-9]{1,18})[ \t]*\r?\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_LINE_END = re.compile(rb"\r\n")
_CHUNK_SIZE = re.compile(rb"[0-9a-f]{1,12}(?![0-9a-f])", re.IGNORECASE)
_TRAILERS_END = re.compile(rb"\r\n\r\n")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Yields while bytes are missing, what the client must be sent before it goes on.
Search = Generator[bytes, None, Any]


def find_end(data: bytearray) -> Search:
    """Follow a growing request to its end. Each byte is searched once, however slowly it arrives.

    This is not a parser: it also ends where gunicorn's parser will find an error.
    """
    head_end = (yield from _find(_HEAD_END, data, 0)).end()
    reply = _CONTINUE if _EXPECTS.search(data, 0, head_end) else b""
    for _ in _find_body_end(data, head_end):
        yield reply
        reply = b""


def _find_body_end(data: bytearray, start: int) -> Search:
    if not _CHUNKED.search(data, 0, start):
        length = _LENGTH.search(data, 0, start)
        yield from _wait_for(start + int(length[1]) if length else start, data)
        return
    while True:
        line = yield from _find(_LINE_END, data, start)
        size = _CHUNK_SIZE.match(data, start, line.start())
        if size is None:
            return
        if int(size[0], 16) == 0:
            yield from _find(_TRAILERS_END, data, line.start())
            return
        start = line.end() + int(size[0], 16) + len(b"\r\n")
        yield from _wait_for(start, data)


def _find(pattern: re.Pattern[bytes], data: bytearray, start: int) -> Search:
    """Return the match."""
    while not (found := pattern.search(data, start)):
        start = max(start, len(data) - 3)
        yield b""
    return found


def _wait_for(size: int, data: bytearray) -> Search:
    while len(data) < size:
        yield b""


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types.
    """A client's connection. gunicorn's parser reads from its `recv`, which has only what was collected."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.parser = get_parser(self.cfg, self, self.client)
        self.data_ready = True  # Otherwise gunicorn's thread waits for the first byte.
        self.is_last = False
        """Whether the place of the next request is unknown, or none can come."""
        self._held = bytearray()

    @property
    def size(self) -> int:
        """The bytes that were collected."""
        return len(self._held)

    def begin(self, *, deadline: float) -> None:
        """Expect a request, of which the parser may have read a part behind the previous one."""
        self.timeout = deadline
        self.sock.setblocking(False)
        self._held = bytearray(self.parser.unreader.take_buffered())
        self._search = find_end(self._held)

    def collect(self) -> bool:
        """Take what has arrived. Return whether a thread must see it: the request is whole, or no more of it comes."""
        try:
            if self._is_whole():
                return True
            piece = self.sock.recv(PIECE)
            self._held += piece
            self.is_last = not piece
            return self.is_last or self._is_whole()
        except BlockingIOError:
            return False
        except OSError:
            self.is_last = True
            return True

    def recv(self, size: int) -> bytes:
        """Return all that was collected, and nothing the next time, as if the client had closed its side."""
        held, self._held = bytes(self._held), bytearray()
        # A parser that asks for more sees another end than `find_end`. What comes later is no request.
        self.is_last = self.is_last or not held
        return held

    def close(self, graceful: bool = False) -> None:
        """Close without waiting. The request was read, so that the client receives the whole answer.

        gunicorn waits for the client to close its side first, for two seconds, in the main loop.
        """
        if graceful:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
        close(self.sock)

    def _is_whole(self) -> bool:
        if self.size >= MAX_REQUEST:
            self.is_last = True
            return True
        reply = next(self._search, None)
        if reply:
            self.sock.send(reply)
        return reply is None


class Worker(ThreadWorker):  # type: ignore[misc]
    """Collects requests in the main loop, in gunicorn's list of pending connections, the oldest first."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self._with_threads: set[Connection] = set()
        """Connections whose request a thread has, or will have. What a thread has read is no longer held."""

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        super().check_config(cfg, log)
        if cfg.is_ssl:
            sys.exit(
                "Expected no TLS settings for gunicorn, found some. Remove them: TLS belongs to the reverse proxy."
            )

    def accept(self, listener: Any) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Collect a request, then give it to a thread."""
        conn.begin(deadline=time.monotonic() + (REQUEST_DEADLINE if self.alive else STOP_DEADLINE))
        if conn.collect():
            self._give_to_thread(conn)
            return
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        is_collected = conn.collect()
        is_too_much = not is_collected and conn.size > PIECE and self._held() > MAX_HELD
        if is_collected or is_too_much:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
        if is_collected:
            self._give_to_thread(conn)
        elif is_too_much:
            self.nr_conns -= 1
            conn.close()

    def murder_pending(self) -> None:
        """Close what is late. At the limit of connections, the oldest incomplete request makes room."""
        if self.nr_conns >= self.worker_connections and self.pending_conns:
            oldest = self.pending_conns[0]
            if oldest.timeout - time.monotonic() <= REQUEST_DEADLINE - SLOW_AFTER:
                oldest.timeout = 0.0
        super().murder_pending()

    def finish_request(self, conn: Connection, fs: Any) -> None:
        self._with_threads.discard(conn)
        super().finish_request(conn, fs)

    def _give_to_thread(self, conn: Connection) -> None:
        self._with_threads.add(conn)
        super().enqueue_req(conn)

    def _held(self) -> int:
        sizes = [conn.size for conn in (*self.pending_conns, *self._with_threads)]
        return sum(size for size in sizes if size > PIECE)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # It first reads what the application has left of the body.
        return super()._keepalive_after(conn, keepalive) and not conn.is_last

    def _cap_keepalive(self, deadline: float) -> None:
        """Close kept and pending connections by the deadline: the server stops."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

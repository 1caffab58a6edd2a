"""A TCP proxy between the product and PostgreSQL that can fail."""

import socket
import threading
import time
from contextlib import suppress


class Network:
    """A proxy to that server at `port` of this machine: `with Network(host, port) as network`."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._moves = threading.Event()
        self._moves.set()
        self._is_there = True
        self._ends: list[socket.socket] = []
        self.latency = 0.0  # seconds, each way
        self.calls = 0
        """The number of connections that clients have opened."""

    def __enter__(self) -> "Network":
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()
        self.go_away()
        self._moves.set()

    def freeze(self) -> None:
        """Stop all traffic in both directions. New connections are accepted but carry no data."""
        self._moves.clear()

    def go_away(self) -> None:
        """End all connections, and each new one, as a stopped server does."""
        self._is_there = False
        ends, self._ends = self._ends, []
        for end in ends:
            _end(end)

    def restore(self) -> None:
        """Carry all traffic again, without delay."""
        self._is_there = True
        self.latency = 0.0
        self._moves.set()

    def _accept(self) -> None:
        with suppress(OSError):  # The listener was closed.
            while True:
                near, _ = self._listener.accept()
                self.calls += 1
                threading.Thread(target=self._serve, args=[near], daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._moves.wait()
        if not self._is_there:
            near.close()
            return
        far = socket.create_connection(self._server)
        self._ends += [near, far]
        for source, sink in ((near, far), (far, near)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._forward, args=[source, sink], daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), source, sink.dup() as way_out:
            while piece := source.recv(65536):
                self._moves.wait()
                time.sleep(self.latency)
                way_out.sendall(piece)
            _end(way_out)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

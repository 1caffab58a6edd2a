"""The worker of the web server: where it finds the end of a request, and which connections it gives up."""

import os
import selectors
import socket
from contextlib import suppress

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData, ParseException
from hypothesis import given
from hypothesis import strategies as st

from smsproxy import webserver
from smsproxy.webserver import MAX_REQUEST, REQUEST_DEADLINE, SLOW_AFTER, STOP_DEADLINE, Worker, find_end

NOW = 1000.0
PATIENCE = 20  # seconds


def request(*headers, body=b""):
    return b"\r\n".join([b"POST /webhooks HTTP/1.1", b"Host: localhost", *headers, b"", body])


def chunked(*pieces, size=b"%x", trailer=b""):
    body = b"".join(size % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces)
    return request(b"Transfer-Encoding: chunked", body=body + b"0\r\n" + trailer + b"\r\n")


bodies = st.binary(max_size=300)
requests = st.one_of(
    st.builds(lambda body: request(b"Content-Length: %d" % len(body), body=body), bodies),
    st.builds(lambda body: request(b"Content-Length: %022d" % len(body), body=body), bodies),
    st.builds(lambda body: request(b"content-length:%d " % len(body), b"X: y", body=body), bodies),
    st.builds(lambda bodies: chunked(*filter(None, bodies)), st.lists(bodies, max_size=3)),
    st.builds(lambda body: chunked(b"x" + body, size=b"%04X;a=b", trailer=b"Checked: no\r\n"), bodies),
    st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]),
)


def length_of_first(data):
    """Return how many of the bytes the first request has, as gunicorn's parser sees it."""
    parser = get_parser(Config(), [data], ("127.0.0.1", 1))
    next(parser).body.read()
    return len(data) - len(parser.unreader.take_buffered())


def is_whole(data):
    return next(find_end(bytearray(data)), None) is None


@given(requests)
def test_a_request_is_whole_with_its_last_byte_as_the_parser_sees_it(sent):
    assert length_of_first(sent + b"GET") == len(sent)

    growing = bytearray()
    search = find_end(growing)
    for byte in sent:
        assert next(search, None) is not None
        growing.append(byte)
    assert next(search, None) is None


@given(requests, st.data())
def test_a_request_is_whole_or_not_however_it_was_cut_into_packets(sent, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    growing = bytearray()
    search = find_end(growing)
    for start, end in zip([0, *cuts], cuts, strict=False):
        growing += sent[start:end]
        if end < len(sent):
            assert next(search, None) is not None

    growing += sent[len(growing) :]
    assert next(search, None) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\n\n",
        request(b"Transfer-Encoding: chunked", body=b"ten\r\n"),
        request(b"Transfer-Encoding: chunked", body=b"-5\r\n"),
        request(b"Transfer-Encoding: chunked", body=b"f" * 13 + b"\r\n"),
        request(b"Content-Length: ten"),
        request(b"Content-Length: " + b"9" * 5000),
    ],
)
def test_a_malformed_request_is_left_to_the_parser_at_once(sent):
    assert is_whole(sent)


def test_a_client_that_asks_is_told_to_send_the_body():
    data = bytearray(request(b"Expect: 100-continue", b"Content-Length: 2"))
    search = find_end(data)

    assert next(search) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert next(search) == b""
    data += b"{}"
    assert next(search, None) is None


class Pool:
    """Remembers what the threads were given."""

    def __init__(self):
        self.given = []

    def submit(self, handle, connection):
        self.given.append(connection)
        return self

    def add_done_callback(self, callback):
        pass


class Scene:
    """A worker in this process, whose clock is `now`, and its clients."""

    def __init__(self, monkeypatch):
        self.now = NOW
        monkeypatch.setattr("gunicorn.workers.gthread.time.monotonic", lambda: self.now)
        config = Config()
        config.set("worker_connections", 4)
        config.set("threads", 1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.worker = Worker(1, os.getpid(), [self.listener], None, 30, config, Logger(config))
        self.worker.poller = selectors.DefaultSelector()
        self.worker.tpool = Pool()
        self.clients = []

    def connect(self, sent=b""):
        client = socket.create_connection(self.listener.getsockname(), timeout=PATIENCE)
        self.clients.append(client)
        self.worker.accept(self.listener)
        self.send(client, sent)
        return client

    def send(self, client, sent):
        """Send, and let the worker see what has arrived."""
        if sent:
            client.sendall(sent)
            self.worker.wait_for_and_dispatch_events(timeout=PATIENCE)

    def is_open(self, client):
        client.setblocking(False)
        try:
            return client.recv(1) != b""
        except BlockingIOError:
            return True
        finally:
            client.settimeout(PATIENCE)

    @property
    def given(self):
        return self.worker.tpool.given

    def close(self):
        for one in (*self.clients, *self.worker.pending_conns, *self.given, self.listener, self.worker.poller):
            one.close()
        self.worker.tmp.close()


@pytest.fixture
def scene(monkeypatch):
    scene = Scene(monkeypatch)
    yield scene
    scene.close()


def test_a_thread_gets_a_request_when_it_is_whole(scene):
    client = scene.connect(request(b"Content-Length: 2", body=b"{"))
    assert not scene.given

    scene.send(client, b"}")

    (connection,) = scene.given
    assert next(connection.parser).body.read() == b"{}"


def test_a_connection_ends_with_a_request_whose_end_the_parser_sees_elsewhere(scene):
    """Otherwise the rest of its body would be taken for the next request."""
    scene.connect(request(b"Transfer-Encoding: chunked", body=b"%013x\r\n" % 2))

    (connection,) = scene.given
    with suppress(ParseException, NoMoreData):
        next(connection.parser).body.read()
    assert connection.is_last


def test_a_request_that_takes_longer_than_the_deadline_is_given_up(scene):
    slow = scene.connect(b"GET / HTT")
    scene.now += 1
    later = scene.connect(b"GET / HTT")
    scene.now += REQUEST_DEADLINE - 1
    scene.send(slow, b"P")

    scene.worker.murder_pending()

    assert not scene.is_open(slow)
    assert scene.is_open(later)
    assert scene.worker.nr_conns == 1


def test_the_oldest_incomplete_request_makes_room(scene):
    clients = []
    for _ in range(5):
        clients.append(scene.connect(b"GET / HTT"))
        scene.now += SLOW_AFTER
        scene.worker.murder_pending()

    assert [scene.is_open(client) for client in clients] == [False, False, True, True, True]
    assert scene.worker.nr_conns == 3


def test_a_request_that_has_just_begun_makes_no_room(scene):
    clients = [scene.connect(b"GET / HTT") for _ in range(4)]

    scene.worker.murder_pending()

    assert all(scene.is_open(client) for client in clients)


def test_what_a_process_holds_of_long_requests_is_bounded(scene, monkeypatch):
    monkeypatch.setattr(webserver, "PIECE", 1000)
    monkeypatch.setattr(webserver, "MAX_HELD", 3000)
    clients = [scene.connect(request(b"Content-Length: 5000", body=b"x" * 1800)) for _ in range(2)]
    short = scene.connect(request(b"Content-Length: 900", body=b"x" * 800))

    assert [scene.is_open(client) for client in (*clients, short)] == [True, False, True]


def test_long_requests_that_wait_for_a_thread_are_part_of_that_bound(scene, monkeypatch):
    monkeypatch.setattr(webserver, "PIECE", 1000)
    monkeypatch.setattr(webserver, "MAX_HELD", 3000)
    for _ in range(2):
        scene.connect(request(b"Content-Length: 1800", body=b"x" * 1800))
    while len(scene.given) < 2:
        scene.worker.wait_for_and_dispatch_events(timeout=PATIENCE)

    def is_collected():
        client = scene.connect(request(b"Content-Length: 5000", body=b"x" * 1800))
        scene.worker.wait_for_and_dispatch_events(timeout=PATIENCE)
        return scene.is_open(client)

    assert not is_collected()
    for connection in scene.given:
        next(connection.parser).body.read()
    assert is_collected()


def test_a_thread_gets_the_beginning_of_an_oversized_request_and_closes_the_connection(scene):
    client = scene.connect()
    piece = b"x" * 100_000
    client.sendall(request(b"Content-Length: 99999999"))
    while not scene.given:
        scene.send(client, piece)

    (connection,) = scene.given
    assert MAX_REQUEST <= connection.size < MAX_REQUEST + webserver.PIECE
    assert not scene.worker._keepalive_after(connection, keepalive=True)


def test_a_stopping_worker_gives_slow_requests_up_sooner(scene):
    slow = scene.connect(b"GET / HTT")
    scene.worker.alive = False
    scene.worker._cap_keepalive(scene.now + STOP_DEADLINE)
    kept = scene.connect(b"GET / HTT")
    scene.now += STOP_DEADLINE

    scene.worker.murder_pending()

    assert not scene.is_open(slow)
    assert not scene.is_open(kept)


def test_tls_settings_are_refused(scene):
    config = Config()
    config.set("certfile", "/no/such/file")

    with pytest.raises(SystemExit, match="TLS belongs to the reverse proxy"):
        Worker.check_config(config, None)

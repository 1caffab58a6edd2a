"""The web server as in production: how it reads a body, and what it logs."""

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.builders import ALICE
from tests.support.demo_process import ROOT
from tests.support.gunicorn_process import Gunicorn
from tests.support.signing import signed_inbound

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("servers")]

INBOUND = "/webhooks/vonage/inbound-sms"
SECRET_WORDS = "meet-me-at-the-old-lighthouse"
MANY = 40  # clients, more than the server has threads


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gunicorn(tmp_path_factory.mktemp("gunicorn")) as running:
        yield running


def start_another(server, **changes):
    """Start a second server on the same port. It ends by itself."""
    command = [sys.executable, "-m", "gunicorn", "smsproxy.wsgi", "--bind", f"127.0.0.1:{server.port}"]
    environment = server.environment | changes
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_a_bad_setting_stops_the_server_with_its_error_alone(server):
    stopped = start_another(server, COOL_DOWN_SECONDS="60", HEALTH_WINDOW_SECONDS="x")

    assert stopped.returncode == 1
    lines = [line for line in stopped.stderr.splitlines() if "[INFO] Starting gunicorn" not in line]
    assert [line[:60] for line in lines] == [
        "smsproxy cannot start: HEALTH_WINDOW_SECONDS: expected a who",
        "COOL_DOWN_SECONDS: expected more than MESSAGE_MAX_AGE_SECOND",
        "COOL_DOWN_SECONDS: expected more than WEBHOOK_MAX_AGE_SECOND",
        "Settings are read from the environment and the file .env. Cr",
    ]


def test_a_second_server_on_the_same_port_does_not_start(server):
    second = start_another(server)

    assert second.returncode == 1
    assert f"127.0.0.1 port {server.port} cannot be used: Address already in use." in second.stderr
    assert status(server.send(post(INBOUND), b"")) == 401


def status(answer):
    return int(answer.split(b" ", 2)[1])


def post(path, *headers):
    always = ["Host: localhost", "Connection: close", "Content-Type: application/json"]
    return "\r\n".join([f"POST {path} HTTP/1.1", *always, *headers, "", ""]).encode()


def chunked(body, size=100):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def test_a_signed_webhook_in_chunks_is_accepted(server):
    body = json.dumps(signed_inbound()).encode()

    answer = server.send(post(INBOUND, "Transfer-Encoding: chunked"), chunked(body), b"0\r\n\r\n")

    assert status(answer) == 200


def test_a_request_to_the_api_in_chunks_is_read(server):
    key = server.manage("create_api_key", "rides-backend")
    head = post("/api/v1/conversations/", "Transfer-Encoding: chunked", f"Authorization: Bearer {key}")

    answer = server.send(head, chunked(b'{"participants": [], "colour": "red"}'), b"0\r\n\r\n")

    assert status(answer) == 400
    assert b"/colour" in answer


def test_an_oversized_webhook_in_chunks_is_rejected_like_any_other(server):
    assert status(server.send(post(INBOUND, "Transfer-Encoding: chunked"), chunked(b"x" * 300_000, 8192))) == 401


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_truncated_webhook_is_answered_so_that_vonage_retries(server, is_chunked):
    body = json.dumps(signed_inbound()).encode()
    header = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    sent = chunked(body) if is_chunked else body

    assert status(server.send(post(INBOUND, header), sent[:-50])) == 503


@pytest.mark.parametrize(
    "request_line",
    [
        f"GET {INBOUND}?msisdn={ALICE[1:]}&text={SECRET_WORDS} nonsense HTTP/1.1",
        f"GET{ALICE[1:]}{SECRET_WORDS} / HTTP/1.1",
        f"GET {INBOUND}?msisdn={ALICE[1:]}&text={SECRET_WORDS} HTTP/7.7",
        f"GET {INBOUND} HTTP/1.1\r\nHost: {ALICE} {SECRET_WORDS}",
        f"GET {INBOUND} HTTP/1.1\r\n{ALICE} {SECRET_WORDS}: x",
        f"POST {INBOUND}?msisdn={ALICE[1:]}&text={SECRET_WORDS} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{ALICE[1:]}{SECRET_WORDS}",
    ],
)
def test_the_content_of_a_malformed_request_is_not_logged(server, request_line):
    server.send(f"{request_line}\r\n\r\n".encode())

    assert "Listening at" in server.log
    assert ALICE[1:] not in server.log
    assert SECRET_WORDS not in server.log


def test_a_malformed_request_is_logged(server):
    server.send(b"nonsense\r\n\r\n")

    assert "Invalid request from ip=127.0.0.1\n" in server.log


def test_a_stopped_server_has_counted_every_rejected_webhook(tmp_path):
    with Gunicorn(tmp_path) as stopping:
        for _ in range(7):
            assert status(stopping.send(post(INBOUND), b"")) == 401

    counted = "from conversations.models import RejectedWebhook as R; print(R.objects.get().count)"
    assert stopping.manage("shell", "-v0", "-c", counted) == "7"


def webhook():
    body = json.dumps(signed_inbound()).encode()
    return post(INBOUND, f"Content-Length: {len(body)}") + body


def webhook_in_chunks():
    return post(INBOUND, "Transfer-Encoding: chunked") + chunked(json.dumps(signed_inbound()).encode()) + b"0\r\n\r\n"


@contextmanager
def many_clients(server):
    with ExitStack() as stack:
        yield [stack.enter_context(server.connect()) for _ in range(MANY)]


def answers(clients):
    return {status(client.makefile("rb").read()) for client in clients}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(webhook, 200, id="webhook"),
        pytest.param(webhook_in_chunks, 200, id="webhook in chunks"),
        pytest.param(lambda: webhook().replace(b"Tom", b"Tim"), 401, id="forged webhook"),
        pytest.param(lambda: webhook().replace(INBOUND.encode(), b"/api/v1/conversations/"), 401, id="API"),
    ],
)
@pytest.mark.parametrize("part", ["headers", "body"])
def test_many_slow_senders_do_not_keep_webhooks_waiting(server, request_, expected, part):
    sent = request_()
    at = 20 if part == "headers" else len(sent) - 20
    with many_clients(server) as slow:
        for client in slow:
            client.sendall(sent[:at])
        for client in slow:
            client.sendall(sent[at : at + 1])

        assert [status(server.send(webhook())) for _ in range(MANY)] == [200] * MANY

        # Each of them was open all the time, and can still send its request to the end.
        for client in slow:
            client.sendall(sent[at + 1 :])
        assert answers(slow) == {expected}


def test_many_clients_that_keep_their_connection_open_do_not_keep_webhooks_waiting(server):
    with many_clients(server) as idle:
        for client in idle:
            client.sendall(webhook())

        assert [status(server.send(webhook())) for _ in range(MANY)] == [200] * MANY
        assert answers(idle) == {200}


def test_a_client_that_asks_before_it_sends_the_body_is_answered(server):
    body = json.dumps(signed_inbound()).encode()
    with server.connect() as client, client.makefile("rb") as answer:
        client.sendall(post(INBOUND, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
        client.sendall(body)

        assert b"HTTP/1.1 200 OK" in answer.read()


def test_requests_that_arrive_together_are_answered_in_turn(server):
    kept = webhook().replace(b"Connection: close\r\n", b"")

    answer = server.send(kept + kept + post(INBOUND, "Content-Length: 0"))

    lines = answer.split(b"\r\n")
    assert [line[9:12] for line in lines if line.startswith(b"HTTP/1.1 ")] == [b"200", b"200", b"401"]

"""The doctor's checks of the site at PUBLIC_URL, against a small server that misbehaves in each way."""

import datetime as dt
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conversations.insight.doctor import site
from conversations.insight.doctor.result import Verdict
from smsproxy.version import VERSION
from tests.support.certificate import tls_context
from tests.support.demo_process import free_port

HOUR, DAYS = dt.timedelta(hours=1), dt.timedelta(days=1)


class Server:
    """An HTTP server that answers every request with `status`, `headers` and `body`, and keeps what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.status, self.headers, self.body = 200, {}, b""
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked.append((self.command, self.path, dict(self.headers), sent))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args):
                """Say nothing of a client that does not trust the certificate."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(settings):
    running = Server()
    settings.PUBLIC_URL, settings.IS_HTTPS = running.url, False
    yield running
    running.close()


@pytest.fixture
def secure(settings, tmp_path, monkeypatch):
    """Return a function that starts a server with TLS, whose certificate is trusted. left: until it ends."""
    servers = []

    def start(left, *, is_trusted=True):
        context = tls_context(tmp_path, left=left)
        running = Server(context)
        servers.append(running)
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        if is_trusted:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        settings.PUBLIC_URL, settings.IS_HTTPS = running.url, True
        return running

    yield start
    for running in servers:
        running.close()


def test_the_webhook_address_is_tried_as_the_carrier_does(server):
    assert site.check_webhook_address().verdict == Verdict.OK
    [(method, path, _, body)] = server.asked
    assert (method, path, body) == ("GET", "/webhooks/vonage/inbound-sms", b"")


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (301, {"Location": "https://www.example.com/webhooks"}, "it redirects to www.example.com"),
        (502, {}, "502: the proxy answers, the web server behind it does not"),
        (404, {}, "404, expected 200"),
        (400, {}, "400, expected 200"),
    ],
)
def test_a_webhook_address_that_carriers_would_not_accept_is_a_failure(server, status, headers, says):
    server.status, server.headers = status, headers

    result = site.check_webhook_address()

    assert result.verdict == Verdict.FAILED
    assert says in result.detail
    assert len(server.asked) == 1


def test_a_site_that_does_not_listen_is_a_failure(settings):
    settings.PUBLIC_URL = f"http://127.0.0.1:{free_port()}"

    assert site.check_webhook_address().detail == "no connection"
    assert site.check_signed().detail == "no connection"


def test_a_host_name_that_nobody_knows_is_a_failure(settings, monkeypatch):
    def unknown(*args):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    settings.PUBLIC_URL = "http://sms.example.com"

    assert site.check_webhook_address().detail == "the host name is not known"


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (json.dumps({"status": "ok", "version": VERSION}), Verdict.OK),
        (json.dumps({"status": "ok", "version": "0.0.1"}), Verdict.FAILED),
        ("<html>Welcome to nginx!</html>", Verdict.FAILED),
        ("[]", Verdict.FAILED),
    ],
)
def test_another_version_and_another_program_are_noticed(server, body, verdict):
    server.body = body.encode()

    assert site.check_version().verdict == verdict


@pytest.mark.parametrize(("status", "verdict"), [(401, Verdict.OK), (200, Verdict.FAILED), (404, Verdict.FAILED)])
def test_an_unsigned_webhook_must_be_rejected(server, status, verdict):
    server.status = status

    assert site.check_unsigned().verdict == verdict


@pytest.mark.parametrize(("status", "verdict"), [(200, Verdict.OK), (401, Verdict.FAILED), (500, Verdict.FAILED)])
def test_a_signed_webhook_must_be_accepted(server, status, verdict):
    server.status = status

    assert site.check_signed().verdict == verdict
    [(method, path, _, body)] = server.asked
    assert (method, path) == ("POST", "/webhooks/vonage/delivery-receipt")
    assert json.loads(body)["sig"]


@pytest.mark.parametrize(("left", "verdict"), [(6 * HOUR, Verdict.OK), (4 * HOUR, Verdict.WARNING)])
def test_a_certificate_that_should_have_been_renewed_is_a_warning(secure, left, verdict):
    # It is a day old. A sixth of its time is a bit less or more than what is left.
    secure(left)

    assert site.check_certificate().verdict == verdict
    assert site.check_webhook_address().verdict == Verdict.OK


def test_a_certificate_of_long_life_may_end_in_two_weeks(secure):
    secure(13 * DAYS)

    assert site.check_certificate().verdict == Verdict.OK


@pytest.mark.parametrize(
    ("left", "is_trusted", "says"), [(-HOUR, True, "certificate has expired"), (DAYS, False, "self-signed certificate")]
)
def test_a_certificate_that_carriers_would_not_trust_is_a_failure(secure, left, is_trusted, says):
    secure(left, is_trusted=is_trusted)

    assert site.check_certificate().detail == f"it is not valid: {says}"
    assert site.check_webhook_address().detail == "the TLS certificate is not valid"


@pytest.mark.parametrize(
    ("headers", "verdict"), [({"Strict-Transport-Security": "max-age=1"}, Verdict.OK), ({}, Verdict.FAILED)]
)
def test_a_site_that_takes_https_for_http_is_noticed(secure, headers, verdict):
    server = secure(DAYS)
    server.headers = headers

    assert site.check_forwarded_scheme().verdict == verdict
    [(_, _, sent, _)] = server.asked
    assert sent["X-Forwarded-Proto"] == "http"

"""A stand-in for Vonage that speaks real TLS on 127.0.0.1, for tests that need a real connection.

Within a test: `with StubCarrier(directory) as stub`. As a process, which prints its port:
`python -m tests.support.stub_carrier --port 0 --dir DIR`. Clients trust it with REQUESTS_CA_BUNDLE=DIR/ca.pem.

DIR/requests.jsonl gets one line for each POST /sms/json, before the answer. DIR/behaviour.json is read for each
request, and may hold any of:
    latency     seconds to wait before the answer
    hang        true: read the request and never answer
    close       true: read the request and hang up without an answer
    status      the HTTP status, 200 if not given
    retry_after the header of that name
    location    the header of that name
    sms_status  the status of each part, "0" if not given
    error_text  the error-text of each part whose status is not "0"
    body        the whole body, as text
    senders     {number: any of these, which replace the above for messages from this number}
    forgotten   [client-ref, ...]: messages that are missing in its records

GET /v2/reports/records answers with the messages that it received in the window, as Vonage's Reports API does.
"""

import argparse
import datetime as dt
import json
import socket
import ssl
import sys
import threading
import time
import uuid
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from smsproxy.carriers import gsm7
from tests.support.certificate import tls_context


class StubCarrier:
    """A stub server. host: "127.0.0.1:PORT", for VONAGE_REST_HOST. ca: the path of its certificate."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.connections = 0
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.stub = self
        self._server.tls = tls_context(directory)
        self.port: int = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.stopping = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "StubCarrier":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def behave(self, **behaviour: Any) -> None:
        (self.directory / "behaviour.json").write_text(json.dumps(behaviour))

    def behaviour(self, sender: str = "") -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.directory / "behaviour.json").read_text())
        except (FileNotFoundError, ValueError):  # the file is missing, or being written
            return {}
        return {**found, **found.get("senders", {}).get(sender, {})}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Return the POSTs to /sms/json so far, in order: `at` (seconds since 1970) and `params`."""
        path = self.directory / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def record(self, params: dict[str, str]) -> None:
        line = json.dumps({"at": time.time(), "params": params})
        with self._writing, (self.directory / "requests.jsonl").open("a") as file:
            file.write(line + "\n")


class _Server(ThreadingHTTPServer):
    stub: StubCarrier
    tls: ssl.SSLContext
    # Wait for the handlers at the end, so that no test leaves a socket open.
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        # The handshake happens at the handler's first read, in the handler's thread.
        wrapped = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(wrapped)
            self.stub.connections += 1
        return wrapped, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the open connections below TLS, which may be busy in another thread."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that give up: the tests make them do so."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        if len(body) < length:  # The client was killed while sending: no carrier accepts such a request.
            self.close_connection = True
            return
        params = {key: values[0] for key, values in parse_qs(body, keep_blank_values=True).items()}
        if self.path == "/sms/json":
            self.server.stub.record(params)
            self._answer(lambda behaviour: _sms_reply(params, behaviour), params.get("from", ""))
        else:
            self._answer(lambda behaviour: {"error-code": "200", "error-code-label": "success"})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v2/reports/records":
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            self._answer(lambda behaviour: _report(query, self.server.stub.requests, behaviour))
        else:
            self._answer(lambda behaviour: {})

    def _answer(self, reply: Any, sender: str = "") -> None:
        stub = self.server.stub
        behaviour = stub.behaviour(sender)
        stub.stopping.wait(behaviour.get("latency", 0))
        if behaviour.get("hang"):
            stub.stopping.wait()
        if behaviour.get("close") or behaviour.get("hang"):
            self.close_connection = True
            return
        text = behaviour["body"] if "body" in behaviour else json.dumps(reply(behaviour))
        self.send_response(behaviour.get("status", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        for name in ("retry_after", "location"):
            if name in behaviour:
                self.send_header(name.replace("_", "-"), str(behaviour[name]))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _sms_reply(params: dict[str, str], behaviour: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with an item per part. A part's id begins with the client-ref, which shows mixed-up answers."""
    parts = gsm7.segments(params.get("text", "")).count
    status = behaviour.get("sms_status", "0")
    refused = {"status": status, "error-text": behaviour.get("error_text", "refused by the stub")}
    return {
        "message-count": str(parts),
        "messages": [
            {
                "to": params.get("to", ""),
                "message-id": f"{params.get('client-ref', '')[:40]}-{part}-{uuid.uuid4().hex[:12]}",
                "status": "0",
                "remaining-balance": "3.14159265",
                "message-price": "0.03330000",
                "network": "23410",
                "client-ref": params.get("client-ref", ""),
            }
            if status == "0"
            else refused
            for part in range(1, parts + 1)
        ],
    }


def _report(query: dict[str, str], received: list[dict[str, Any]], behaviour: dict[str, Any]) -> dict[str, Any]:
    """Return the records of the messages that were received in the window. All are delivered."""
    start, end = (dt.datetime.fromisoformat(query[name]).timestamp() for name in ("date_start", "date_end"))
    assert end <= time.time(), "a window must end in the past"
    return {
        "request_status": "SUCCESS",
        "records": [
            {
                "account_id": query["account_id"],
                "message_id": f"{each['params']['client-ref'][:40]}-{part}-record",
                "client_ref": each["params"]["client-ref"],
                "direction": "outbound",
                "from": each["params"]["from"],
                "to": each["params"]["to"],
                "status": "delivered",
                "error_code": "0",
                "currency": "EUR",
                "total_price": "0.03330000",
            }
            for each in received
            if start <= each["at"] < end and each["params"]["client-ref"] not in behaviour.get("forgotten", [])
            for part in range(1, gsm7.segments(each["params"].get("text", "")).count + 1)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for Vonage, for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dir", type=Path, required=True)
    options = parser.parse_args()
    with StubCarrier(options.dir, options.port) as stub:
        sys.stdout.write(f"{stub.port}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

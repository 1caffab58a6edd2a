"""A message on its way through real processes: its lines in their logs, and its trace at a real collector."""

import json
import subprocess
import sys

import pytest

from tests.support.demo_process import ROOT
from tests.support.gunicorn_process import Gunicorn
from tests.support.otlp_collector import Collector, attributes
from tests.support.signing import signed_inbound, signed_receipt

SECRET_WORDS = "meet me at the old lighthouse"
REQUEST_ID = "from-the-proxy-0123"
WEBHOOKS = "/webhooks/vonage"
# Prints the rider's number and the virtual number that they text. The next message gets no simulated receipt.
SCENE = """
from conversations.demo.scene import RIDER, ensure_conversation, fill_pool
from conversations.models import Participant
from smsproxy.simulator.models import FaultKind, SimulatedFault, Verb
list(fill_pool())
conversation = ensure_conversation()
rider = Participant.objects.get(conversation=conversation, position=0)
print(RIDER.number, rider.proxy_number.number)
"""
NO_RECEIPT = """
from smsproxy.simulator.models import FaultKind, SimulatedFault, Verb
SimulatedFault.objects.create(verb=Verb.SEND, kind=FaultKind.NO_RECEIPT)
"""


def post(server, path, params):
    body = json.dumps(params).encode()
    head = ["Host: localhost", "Connection: close", "Content-Type: application/json", f"X-Request-ID: {REQUEST_ID}"]
    answer = server.send(
        "\r\n".join([f"POST {path} HTTP/1.1", *head, f"Content-Length: {len(body)}", "", ""]).encode() + body
    )
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer


def relay_once(server):
    """Send what is due in a worker process, and return its log."""
    command = [sys.executable, "manage.py", "relay", "--once"]
    done = subprocess.run(command, cwd=ROOT, env=server.environment, capture_output=True, text=True, check=True)
    return done.stderr


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """Return what one message left behind: the log lines of all processes, the spans and the secrets in it."""
    with Collector() as collector:
        server = Gunicorn(tmp_path_factory.mktemp("way"))
        server.environment |= {"LOG_FORMAT": "json", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with server:
            phone, number = server.manage("shell", "-v0", "-c", SCENE).split()
            relay_once(server)  # The confirmations.
            before = len(server.log)
            server.manage("shell", "-v0", "-c", NO_RECEIPT)
            inbound = signed_inbound(msisdn=phone[1:], to=number[1:], text=SECRET_WORDS)
            answer = post(server, f"{WEBHOOKS}/inbound-sms", inbound)
            log = relay_once(server)
            [sent] = [line for line in map(json.loads, log.splitlines()) if line.get("outcome") == "sent"]
            receipt = signed_receipt(client_ref=f"{sent['message_ref']}.1", messageId=sent["carrier_message_id"])
            post(server, f"{WEBHOOKS}/delivery-receipt", receipt)
            log = server.log[before:] + log
        return answer, sent, server.log, log, collector, (phone[1:], number[1:], SECRET_WORDS)


def test_every_line_of_every_process_is_one_json_object(way):
    _, _, web, log, *_ = way

    lines = [json.loads(line) for line in [*web.splitlines(), *log.splitlines()]]

    assert {line["process"] for line in lines} == {"web", "relay"}
    assert {"gunicorn.error", "conversations.delivery.steps"} <= {line["logger"] for line in lines}
    assert all({"time", "level", "message", "pid", "version"} <= set(line) for line in lines)


@pytest.mark.parametrize("name", ["message_ref", "inbound_id"])
def test_one_search_finds_the_way_of_a_message(way, name):
    _, sent, _, log, *_ = way
    searched = json.dumps({name: sent[name]})[1:-1] if name == "inbound_id" else sent[name]

    found = [json.loads(line) for line in log.splitlines() if searched in line]

    found.sort(key=lambda line: line["time"])
    assert [line["process"] for line in found] == ["web", "relay", "web"]
    assert [line["message"] for line in found] == [
        "inbound message: relayed",
        "outbound message: sent",
        "delivery receipt: delivered",
    ]


def test_the_request_id_of_the_proxy_is_kept(way):
    answer, _, _, log, *_ = way
    received = next(line for line in map(json.loads, log.splitlines()) if line.get("outcome") == "relayed")

    assert received["request_id"] == REQUEST_ID
    assert f"X-Request-ID: {REQUEST_ID}".encode() in answer


def test_the_trace_goes_through_all_processes(way):
    _, sent, _, _, collector, _ = way
    spans = [span for span in collector.spans if attributes(span).get("inbound_id") == sent["inbound_id"]]

    assert sorted(span.name for span in spans) == ["queue", "receipt", "receive", "send"]
    assert len({span.trace_id for span in spans}) == 1
    [first] = [span for span in spans if not span.parent_span_id]
    assert first.name == "receive"
    assert {span.parent_span_id for span in spans if span is not first} == {first.span_id}
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)


def test_neither_logs_nor_traces_hold_a_number_or_a_text(way):
    _, _, web, log, collector, secrets = way

    assert collector.received
    for secret in secrets:
        assert secret not in web + log
        assert not [request for request in collector.received if secret.encode() in request]

"""Vonage's SDK against a real TLS server on this machine: behaviour that only a real connection shows."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smsproxy.carriers.base import (
    AccountFault,
    FaultScope,
    NumberQuery,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
)
from smsproxy.carriers.vonage import client as client_module
from smsproxy.carriers.vonage.carrier import VonageCarrier
from tests.support.stub_carrier import StubCarrier
from tests.support.vonage_wire import OURS, assert_logs_private, everything_logged, fails, text

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("servers")]


@pytest.fixture
def stub(tmp_path, settings, monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with StubCarrier(tmp_path) as running:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.ca))
        settings.VONAGE_REST_HOST = settings.VONAGE_API_HOST = running.host
        settings.CARRIER_TIMEOUT_SECONDS = 5
        yield running


@pytest.fixture
def carrier(stub):
    return VonageCarrier()


def test_a_message_is_sent(stub, carrier):
    reply = carrier.send(text())

    assert [part.carrier_message_id.startswith("relay-42-1-") for part in reply.parts] == [True]
    [request] = stub.requests
    assert request["params"]["client-ref"] == "relay-42"


def test_a_long_message_has_an_id_for_each_part(stub, carrier):
    assert len(carrier.send(text(text="x" * 400)).parts) == 3


def test_a_server_that_hangs_up_without_an_answer_gets_the_message_once(stub, carrier, caplog):
    everything_logged(caplog)
    stub.behave(close=True)

    fails(OutcomeUnknown, lambda: carrier.send(text()))

    assert len(stub.requests) == 1
    assert_logs_private(caplog)


def test_a_server_that_hangs_up_on_a_reused_connection_gets_each_message_once(stub, carrier):
    carrier.send(text())
    stub.behave(close=True)

    fails(OutcomeUnknown, lambda: carrier.send(text(client_ref="relay-43")))

    assert [request["params"]["client-ref"] for request in stub.requests] == ["relay-42", "relay-43"]


def test_a_server_that_never_answers_gets_the_message_once(stub, carrier, settings, caplog):
    everything_logged(caplog)
    settings.CARRIER_TIMEOUT_SECONDS = 1
    stub.behave(hang=True)

    fails(OutcomeUnknown, lambda: carrier.send(text()))

    assert len(stub.requests) == 1
    assert_logs_private(caplog)


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_header_does_not_block_the_caller(stub, carrier, status, monkeypatch):
    stub.behave(status=status, retry_after=3600)

    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    error = fails(TemporaryFailure, lambda: carrier.send(text()))
    fails(TemporaryFailure, lambda: list(carrier.owned()))

    assert max(waits, default=0) < 60
    assert len(stub.requests) == 1
    assert error.code == str(status)


def test_a_half_written_answer_leaves_the_outcome_unknown(stub, carrier):
    stub.behave(body='{"message-count": "1", "messages": [')

    fails(OutcomeUnknown, lambda: carrier.send(text()))


def test_a_redirect_does_not_send_the_message_elsewhere(stub, carrier):
    stub.behave(status=307, location="/sms/json")

    fails(AccountFault, lambda: carrier.send(text()))

    assert len(stub.requests) == 1


def test_a_refused_connection_pauses_only_this_worker(stub, settings, caplog):
    everything_logged(caplog)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.VONAGE_REST_HOST = f"127.0.0.1:{unused.getsockname()[1]}"

        error = fails(TemporaryFailure, lambda: VonageCarrier().send(text()))

    assert (error.scope, error.retry_after) == (FaultScope.WORKER, None)
    assert stub.requests == []
    assert_logs_private(caplog)


def test_a_host_that_cannot_be_resolved_is_retryable(stub, settings):
    settings.VONAGE_REST_HOST = "no-such-host.invalid"

    fails(TemporaryFailure, lambda: VonageCarrier().send(text()))


def test_a_connection_that_is_never_accepted_is_retryable(stub, settings):
    settings.CARRIER_TIMEOUT_SECONDS = 1
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(address)
            settings.VONAGE_REST_HOST = f"127.0.0.1:{address[1]}"

            assert fails(TemporaryFailure, lambda: VonageCarrier().send(text())).scope == FaultScope.WORKER
        finally:
            for client in waiting:
                client.close()


def test_an_untrusted_certificate_pauses_only_this_worker(stub, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    assert fails(TemporaryFailure, lambda: VonageCarrier().send(text())).scope == FaultScope.WORKER

    assert stub.requests == []


def test_a_certificate_of_another_host_is_not_trusted(stub, settings):
    settings.VONAGE_REST_HOST = stub.host.replace("127.0.0.1", "127.1")  # The same server, under another name.

    assert fails(TemporaryFailure, lambda: VonageCarrier().send(text())).scope == FaultScope.WORKER

    assert stub.requests == []


def test_a_proxy_that_refuses_connections_is_retryable(stub, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")

        fails(TemporaryFailure, lambda: VonageCarrier().send(text()))


def test_a_lost_answer_to_a_read_is_retryable(stub, carrier):
    stub.behave(close=True)

    fails(TemporaryFailure, lambda: list(carrier.search(NumberQuery(country="GB"))))


def test_a_lost_answer_to_an_order_leaves_its_outcome_unknown(stub, carrier):
    stub.behave(close=True)

    fails(OutcomeUnknown, lambda: carrier.buy(OURS, "GB"))
    fails(OutcomeUnknown, lambda: carrier.configure(OURS, "GB", "https://sms.example.com/"))


def test_concurrent_threads_do_not_mix_their_answers(stub, carrier):
    stub.behave(latency=0.05)
    refs = [f"relay-{number}" for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda ref: carrier.send(text(client_ref=ref)), refs))

    assert [reply.parts[0].carrier_message_id.rsplit("-", 2)[0] for reply in replies] == refs
    assert sorted(request["params"]["client-ref"] for request in stub.requests) == sorted(refs)


def test_a_thread_keeps_its_connection(stub, carrier):
    for number in range(5):
        carrier.send(text(client_ref=f"relay-{number}"))

    assert stub.connections == 1


def test_a_long_idle_connection_is_not_reused(stub, carrier, monkeypatch):
    carrier.send(text())
    monkeypatch.setattr(client_module, "IDLE", 0)
    carrier.send(text())

    assert stub.connections == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_new_process_makes_its_own_connection(stub, carrier):
    carrier.send(text(client_ref="parent-1"))

    child = multiprocessing.get_context("fork").Process(target=carrier.send, args=(text(client_ref="child"),))
    child.start()
    child.join(60)
    carrier.send(text(client_ref="parent-2"))

    assert child.exitcode == 0
    assert stub.connections == 2
    assert [request["params"]["client-ref"] for request in stub.requests] == ["parent-1", "child", "parent-2"]


def test_the_stub_rejects_messages_when_configured_to(stub, carrier):
    stub.behave(sms_status="6")

    assert fails(PermanentFailure, lambda: carrier.send(text())).code == "6"


def test_the_stub_runs_as_a_separate_process(tmp_path, settings, monkeypatch):
    command = [sys.executable, "-m", "tests.support.stub_carrier", "--port", "0", "--dir", str(tmp_path)]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            settings.VONAGE_REST_HOST = f"127.0.0.1:{int(process.stdout.readline())}"
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
            assert VonageCarrier().send(text()).parts
        finally:
            process.send_signal(signal.SIGTERM)
    assert "relay-42" in (tmp_path / "requests.jsonl").read_text()


def test_a_slow_answer_is_accepted(stub, carrier):
    stub.behave(latency=0.3)

    assert carrier.send(text()).parts

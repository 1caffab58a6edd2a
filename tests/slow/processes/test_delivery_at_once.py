"""Concurrent workers and receipts on real PostgreSQL: threads, processes, and kill -9."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

from conversations.delivery import claim as claim_module
from conversations.delivery import outbox
from conversations.delivery.claim import claim
from conversations.delivery.receipts import receive_receipt
from conversations.models import (
    OutboundMessage,
)
from conversations.worker.periodic_jobs import run_jobs
from smsproxy.carriers.base import Receipt, ReceiptStatus
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.concurrency import at_once
from tests.support.demo_process import PATIENCE, ROOT
from tests.support.relay_process import url_of_the_test, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("no_hurry"),
]


def test_concurrent_claims_never_take_the_same_message_or_two_of_one_line():
    add_numbers(30)
    for index in range(30):
        bob = members(talk(ALICE, f"+4477007{index:05}"))[1]
        outbox.queue_notice(bob, "1")
        outbox.queue_notice(bob, "2")

    claims = at_once(8, lambda _: [claimed.message.pk for claimed in claim(10).messages])

    taken = [pk for claim in claims for pk in claim]
    assert len(taken) == len(set(taken))
    lines = OutboundMessage.objects.filter(state="sending").values_list("sender", "recipient")
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda message: message.cancel(reason="not any more", actor="sam"), "cancelled"),
        (lambda message: receive(message, "a", attempt=1), "delivered"),
    ],
)
def test_a_message_that_changed_just_before_the_claim_is_not_claimed(monkeypatch, change, state):
    add_numbers(2)
    message = outbox.queue_notice(members(talk(ALICE, BOB))[1], "hello")
    heads, changes = claim_module._sendable_heads, [change]

    def look(*args, **options):
        found = heads(*args, **options)
        if changes:
            at_once(1, lambda _: changes.pop()(message))
        return found

    monkeypatch.setattr(claim_module, "_sendable_heads", look)

    assert claim(10).messages == []

    message.refresh_from_db()
    assert (message.state, message.attempts) == (state, 0)


def receive(message, part, attempt):
    receive_receipt(
        Receipt(carrier_message_id=part, client_ref=f"{message.client_ref}.{attempt}", status=ReceiptStatus.DELIVERED)
    )


def test_a_long_message_with_concurrent_receipts_is_delivered():
    add_numbers(2)
    bob = members(talk(ALICE, BOB))[1]
    texts = [outbox.queue_notice(bob, "x" * 200) for _ in range(20)]
    OutboundMessage.objects.update(state="sent", attempts=1, part_count=2)
    together = threading.Barrier(2)

    def receive_part(part):
        for text in texts:
            together.wait(60)
            receive(text, f"{text.pk}-{part}", attempt=1)

    at_once(2, receive_part)

    assert Counter(OutboundMessage.objects.values_list("state", flat=True)) == {"delivered": 20}


@pytest.fixture
def start_worker(stub, tmp_path):
    """Return a function that starts `manage.py relay` as a process, on this test's database and the stub carrier."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "CARRIER_FOR_TESTS": "vonage",
        "TEST_DATABASE_URL": url_of_the_test(),
        "STUB_CARRIER": stub.host,
        "REQUESTS_CA_BUNDLE": str(stub.ca),
        "SEND_LEASE_SECONDS": "5",
        "CARRIER_TIMEOUT_SECONDS": "2",
    }
    workers = []

    def start():
        with (tmp_path / "worker.log").open("a") as log:
            worker = subprocess.Popen(
                [sys.executable, "manage.py", "relay"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


def arrived(stub):
    """Return how often each message arrived, over all attempts."""
    return Counter(request["params"]["client-ref"].partition(".")[0] for request in stub.requests)


def test_kill_9_of_a_sending_worker_loses_nothing_and_resends_nothing_blindly(stub, start_worker):
    add_numbers(40)
    bobs = [members(talk(ALICE, f"+4477007{index:05}"))[1] for index in range(40)]
    messages = [outbox.queue_notice(bob, f"{number}") for number in range(6) for bob in bobs]
    stub.behave(latency=0.4)

    worker = start_worker()
    wait_until(lambda: len(stub.requests) >= 30)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    in_doubt = set(OutboundMessage.objects.filter(state="sending").values_list("client_ref", flat=True))
    assert in_doubt, "the worker did not die while it was sending"
    stub.behave(latency=0)
    start_worker()
    wait_until(lambda: not OutboundMessage.objects.filter(state__in=["sending", "sent"]).exclude(state="sent").exists())
    # Messages behind one with an unknown outcome continue only after the time-out for its receipt.
    OutboundMessage.objects.filter(state="unknown").update(due_at="2000-01-01T00:00:00Z")
    wait_until(lambda: not OutboundMessage.objects.unfinished().exists())

    count = arrived(stub)
    unknown = set(OutboundMessage.objects.filter(state="unknown").values_list("client_ref", flat=True))
    assert unknown == in_doubt
    assert max(count.values()) == 1
    for message in messages:
        assert count[message.client_ref] == 1 or message.client_ref in unknown
    sent = OutboundMessage.objects.filter(state="sent")
    assert sent.count() + len(unknown) == len(messages)


def test_sigterm_finishes_calls_in_flight_and_leaves_the_rest_queued(stub, start_worker):
    add_numbers(2)
    bob = members(talk(ALICE, BOB))[1]
    for index in range(20):
        outbox.queue_notice(bob, f"{index}")
    stub.behave(latency=0.5)

    worker = start_worker()
    wait_until(lambda: stub.requests)
    worker.terminate()

    assert worker.wait(PATIENCE) == 0
    run_jobs()
    states = Counter(OutboundMessage.objects.values_list("state", flat=True))
    assert states["sent"] == sum(arrived(stub).values())
    assert states["sending"] == states["unknown"] == 0
    assert states["queued"] == 20 - states["sent"] > 0


def test_two_workers_keep_the_order_of_each_line(stub, start_worker):
    add_numbers(5)
    bobs = [members(talk(ALICE, f"+4477007{index:05}"))[1] for index in range(5)]
    for number in range(8):
        for bob in bobs:
            outbox.queue_notice(bob, f"{number}")
    stub.behave(latency=0.02)

    start_worker()
    start_worker()
    wait_until(lambda: not OutboundMessage.objects.unfinished().exists())

    lines: dict[str, list[str]] = {}
    for request in stub.requests:
        lines.setdefault(request["params"]["to"], []).append(request["params"]["text"])
    assert list(lines.values()) == [[f"{number}" for number in range(8)]] * 5

"""Real workers and a carrier that is out of service, or asks us to wait: which messages arrive, and when."""

import itertools
import time
from itertools import pairwise

import pytest

from conversations.delivery import outbox
from conversations.models import AccountRateLimit, MessageEvent, OutboundMessage
from tests.support.builders import ALICE, add_numbers, members, talk
from tests.support.flow import assert_in_order, texts_keep_coming
from tests.support.relay_process import Relays, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

NUMBERS = 20
TEXTS_A_SECOND = 100
ACCOUNT_RATE, NUMBER_RATE = 150, 10
WORKERS, CALLS_AT_ONCE = 2, 8
OUTAGE = 30.0  # seconds


@pytest.fixture
def people():
    """Return the participants of Alice's conversations with twenty others, each through a different number."""
    add_numbers(NUMBERS)
    return [person for index in range(NUMBERS) for person in members(talk(ALICE, f"+4477007{index:05}"))]


def relays(tmp_path, stub, **settings):
    return Relays(
        tmp_path,
        stub,
        CARRIER_TIMEOUT_SECONDS="10",
        SEND_LEASE_SECONDS="30",
        UNKNOWN_OUTCOME_TIMEOUT_SECONDS="60",
        **settings,
    )


def test_an_outage_loses_nothing_backs_off_and_ends_without_a_burst(tmp_path, stub, people):
    rates = {"CARRIER_REQUESTS_PER_SECOND": str(ACCOUNT_RATE), "NUMBER_SEGMENTS_PER_SECOND": f"*={NUMBER_RATE}"}
    with relays(tmp_path, stub, **rates) as workers:
        for worker in [workers.start("--concurrency", str(CALLS_AT_ONCE)) for _ in range(WORKERS)]:
            workers.wait_for(worker)
        with texts_keep_coming(itertools.cycle(people), TEXTS_A_SECOND):
            wait_until(lambda: len(stub.requests) > 2 * TEXTS_A_SECOND)
            stub.behave(status=503)
            began = time.time()
            time.sleep(OUTAGE)
            ended = time.time()
            stub.behave()
        wait_until(lambda: not OutboundMessage.objects.unfinished().exists(), 240, every=0.5)

    requests = stub.requests
    assert set(OutboundMessage.objects.values_list("state", flat=True)) == {"sent"}
    assert not MessageEvent.objects.filter(new_state="unknown").exists()
    # A message may arrive several times: the carrier accepted it the last time.
    latest_first = dict.fromkeys(each["params"]["client-ref"].partition(".")[0] for each in reversed(requests))
    assert_in_order(list(reversed(latest_first)), lines=2 * NUMBERS)
    assert len(latest_first) == OutboundMessage.objects.count(), "some messages never arrived"
    during = [request for request in requests if began < request["at"] < ended]
    # Calls in flight when the outage began, and a probe after each doubling wait: at least 1, 1, 2, 4, 8, 16 seconds.
    assert len(during) <= WORKERS * CALLS_AT_ONCE + 6
    # Calls that were claimed in time may arrive late. Their number is at most that of concurrent calls, or of lines.
    assert most_in_a_second(requests) <= 1.1 * ACCOUNT_RATE + 1 + WORKERS * CALLS_AT_ONCE
    for sender in {request["params"]["from"] for request in requests}:
        from_it = [request for request in requests if request["params"]["from"] == sender]
        assert most_in_a_second(from_it) <= 1.1 * NUMBER_RATE + 1 + 2


def test_retry_after_pauses_all_sending_and_then_one_probe_is_sent(tmp_path, stub, people):
    stub.behave(status=429, retry_after=3)
    outbox.queue_notice(people[0], "first")
    with relays(tmp_path, stub) as workers:
        workers.start()
        wait_until(AccountRateLimit.objects.filter(state="paused").exists)
        stub.behave(latency=0.5)
        for person in people[1:]:
            outbox.queue_notice(person, "and all the others")
        wait_until(lambda: not OutboundMessage.objects.unfinished().exists())

    refused, probe, *others = [request["at"] for request in stub.requests]
    assert probe - refused >= 3
    assert min(others) - probe >= 0.5
    assert len(others) == len(people) - 1


def test_a_throttled_number_waits_for_retry_after_and_the_others_continue(tmp_path, stub, people):
    busy, others = people[0], [person for person in people if person.proxy_number != people[0].proxy_number]
    throttled = {"sms_status": "1", "error_text": "Throughput Rate Exceeded - please wait [ 1500 ] and retry"}
    stub.behave(senders={busy.proxy_number.number[1:]: throttled})

    def from_busy():
        return [request["at"] for request in stub.requests if request["params"]["from"] == busy.proxy_number.number[1:]]

    for person in (busy, *others):
        outbox.queue_notice(person, "hello")
    with relays(tmp_path, stub) as workers:
        workers.start()
        wait_until(lambda: OutboundMessage.objects.filter(state="sent").count() == len(others))
        wait_until(lambda: len(from_busy()) > 1)
        assert not AccountRateLimit.objects.filter(state="paused").exists()
        stub.behave()
        wait_until(lambda: not OutboundMessage.objects.unfinished().exists())

    assert all(later - earlier >= 1.5 for earlier, later in pairwise(from_busy()))


def most_in_a_second(requests):
    moments = sorted(request["at"] for request in requests)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most

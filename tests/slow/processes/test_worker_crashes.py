"""Workers that are killed repeatedly under a steady flow of texts: what arrives at the carrier, and how often."""

import random
import signal
import sys
import threading
from collections import Counter, deque
from itertools import chain

import pytest

from conversations.models import MessageEvent, OutboundMessage
from tests.support.builders import ALICE, add_numbers, members, talk
from tests.support.flow import assert_in_order, texts_keep_coming
from tests.support.relay_process import Relays, wait_until
from tests.support.stub_carrier import StubCarrier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

LINES = 40
LATENCY = 0.2  # seconds: long enough for several calls to be in flight whenever a worker dies
TEXTS_A_SECOND = 50
# Seconds. On a busy machine, a call may leave this much later than planned.
DOUBT = "3"


def test_twenty_killed_workers_lose_nothing_keep_the_order_and_resend_only_unknown_messages(tmp_path):
    with (
        StubCarrier(tmp_path) as stub,
        Relays(tmp_path, stub, UNKNOWN_OUTCOME_POLICY="resend", UNKNOWN_OUTCOME_TIMEOUT_SECONDS=DOUBT) as relays,
    ):
        kill_again_and_again(20, relays, stub)

        assert set(OutboundMessage.objects.values_list("state", flat=True)) == {"sent"}
        doubts = Counter(MessageEvent.objects.filter(new_state="unknown").values_list("message__client_ref", flat=True))
        arrivals = Counter(each.message for each in arrived(stub))
        assert set(arrivals) == set(OutboundMessage.objects.values_list("client_ref", flat=True))
        assert all(times <= 1 + doubts[message] for message, times in arrivals.items())
        assert doubts, "no worker was killed while it was sending"
        # Each attempt has its own number, so that receipts name their attempt.
        assert max(Counter(arrived(stub)).values()) == 1
        assert_in_order(list(dict.fromkeys(each.message for each in arrived(stub))), lines=LINES)


def test_the_hold_policy_sends_nothing_twice_and_lists_unknown_messages(tmp_path):
    with StubCarrier(tmp_path) as stub, Relays(tmp_path, stub, UNKNOWN_OUTCOME_TIMEOUT_SECONDS=DOUBT) as relays:
        kill_again_and_again(8, relays, stub)

        arrivals = Counter(each.message for each in arrived(stub))
        states = dict(OutboundMessage.objects.values_list("client_ref", "state"))
        for message, state in states.items():
            assert arrivals[message] == 1 or (state == "unknown" and arrivals[message] == 0), (message, state)
        assert set(states.values()) == {"sent", "unknown"}, "no worker was killed while it was sending"
        assert_in_order(list(dict.fromkeys(each.message for each in arrived(stub))), lines=LINES)


def kill_again_and_again(times, relays, stub):
    """Run two workers, and kill and replace the older one at random moments. Return when all messages are settled."""
    seed = random.randrange(10**9)
    sys.stdout.write(f"seed: {seed}\n")  # pytest shows it with a failure.
    moments = random.Random(seed)
    stub.behave(latency=LATENCY)
    add_numbers(LINES)
    people = [members(talk(ALICE, f"+4477007{index:05}"))[1] for index in range(LINES)]
    workers = deque([relays.start("--concurrency", "8"), relays.start("--concurrency", "8")])
    choice = random.Random(seed + 1)
    # Each of them once, and then at random.
    with texts_keep_coming(chain(people, iter(lambda: choice.choice(people), None)), TEXTS_A_SECOND):
        for _ in range(times):
            victim = workers.popleft()
            relays.wait_for(victim)
            threading.Event().wait(moments.uniform(0, 1))
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            workers.append(relays.start("--concurrency", "8"))
    stub.behave(latency=0)
    wait_until(lambda: not OutboundMessage.objects.filter(state__in=unsettled(relays)).exists(), 180, every=0.5)


def unsettled(relays):
    return ["queued", "sending", "unknown"] if "UNKNOWN_OUTCOME_POLICY" in relays.environment else ["queued", "sending"]


class Arrival(str):
    """A client-ref at the carrier: the message's own, and the number of the attempt."""

    @property
    def message(self):
        return self.partition(".")[0]


def arrived(stub):
    return [Arrival(request["params"]["client-ref"]) for request in stub.requests]

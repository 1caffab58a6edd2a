"""A STOP that comes while texts to the person are queued, claimed and sent, by many at once on real PostgreSQL."""

import threading
import time
from itertools import count

import pytest
from django.db import connection
from django.test import Client

from conversations.delivery.outbox import queue_notice
from conversations.models import InboundMessage, MessageEvent, OutboundMessage
from numbers.models import PersonEvent, RealNumber
from tests.support.builders import BOB, add_numbers, members, talk
from tests.support.concurrency import at_once
from tests.support.relay_process import Relays, wait_until
from tests.support.signing import signed_inbound

WRITERS = 4
# Texts that are queued before the STOP, so that a backlog is left when it comes.
BACKLOG = 200

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("no_hurry"),
]


def post(sender, to, words, name):
    params = signed_inbound(msisdn=sender[1:], to=to[1:], text=words, messageId=name)
    assert Client().post("/webhooks/vonage/inbound-sms", params, "application/json").status_code == 200


@pytest.mark.parametrize("attempt", range(3))
def test_no_worker_that_claims_after_the_commit_of_stop_sends_to_the_person(tmp_path, stub, attempt):
    stub.behave(latency=0.02)
    add_numbers(WRITERS + 1)
    talks = [members(talk(f"+4477007000{index:02}", BOB)) for index in range(WRITERS)]
    for index in range(BACKLOG):
        queue_notice(talks[index % WRITERS][1], f"backlog {index}")
    stopped = threading.Event()
    has_ended = threading.Event()

    def write(index):
        author = talks[index][0]
        for number in count():
            if has_ended.is_set():
                return
            words = "after" if stopped.is_set() else "before"
            post(author.real_number.number, author.proxy_number.number, words, f"{index}-{number}")

    def stop():
        """Text STOP in the middle of the backlog. Return the time at which its webhook had been answered."""
        try:
            wait_until(lambda: len(stub.requests) > BACKLOG // 8)
            bob = talks[0][1]
            post(BOB, bob.proxy_number.number, "STOP", "stop")
            answered_at = time.time()
            stopped.set()
            to_bob = OutboundMessage.objects.filter(recipient=bob.real_number_id)
            wait_until(lambda: to_bob.exists() and not to_bob.filter(state__in=["queued", "sending"]).exists())
            return answered_at
        finally:
            has_ended.set()

    # A call that times out has an unknown outcome, which STOP cancels.
    in_no_hurry = {"CARRIER_TIMEOUT_SECONDS": "10", "SEND_LEASE_SECONDS": "30"}
    with Relays(tmp_path, stub, NUMBER_SEGMENTS_PER_SECOND="*=30", **in_no_hurry) as relays:
        for process in [relays.start(), relays.start()]:
            relays.wait_for(process)
        answered_at = at_once(WRITERS + 1, lambda index: stop() if index == WRITERS else write(index))[WRITERS]

    to_bob = OutboundMessage.objects.filter(recipient=RealNumber.objects.with_number(BOB).get())
    texts = dict(to_bob.exclude(kind="keyword_answer").values_list("client_ref", "state"))
    called = {request["params"]["client-ref"].partition(".")[0] for request in stub.requests}
    claims = MessageEvent.objects.filter(new_state="sending", message__client_ref__in=called & texts.keys())
    assert max(claim.created_at.timestamp() for claim in claims) <= answered_at
    assert {state for ref, state in texts.items() if ref not in called} == {"cancelled"}
    assert {state for ref, state in texts.items() if ref in called} == {"sent"}
    assert not {"after"} & {message.text for message in to_bob if message.state != "cancelled"}
    assert to_bob.get(kind="keyword_answer").state == "sent"
    assert PersonEvent.objects.count() == 1
    assert InboundMessage.objects.filter(outcome="opted_out").exists()


def test_people_who_stop_and_start_at_once_in_several_conversations_keep_one_history():
    """Keywords of one person are processed one by one: no deadlock, and each change has its event."""
    add_numbers(WRITERS + 1)
    talks = [members(talk(f"+4477007000{index:02}", BOB)) for index in range(WRITERS)]

    def keywords(index):
        for number, words in enumerate(["STOP", "START", "STOP", "HELP", "START"] * 3):
            post(BOB, talks[index][1].proxy_number.number, words, f"{index}-{number}")

    at_once(WRITERS, keywords)

    states = [event.new_state for event in PersonEvent.objects.order_by("pk")]
    assert states == [("opted_out", "receives")[place % 2] for place in range(len(states))]
    person = RealNumber.objects.with_number(BOB).get()
    assert (person.opted_out_at is not None) == (states[-1] == "opted_out")
    answers = OutboundMessage.objects.filter(recipient=person, kind="keyword_answer")
    assert answers.count() == 5 + 5, "five an hour to STOP and START, and five to HELP"
    assert not connection.in_atomic_block

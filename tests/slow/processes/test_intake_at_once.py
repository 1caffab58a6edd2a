"""Concurrent inbound texts on real PostgreSQL."""

import threading

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from conversations.models import (
    Conversation,
    InboundMessage,
    OutboundMessage,
    Participant,
)
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.signing import signed_inbound

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("no_hurry"),
]


def test_texts_of_one_conversation_become_visible_in_the_order_of_their_ids():
    """Otherwise a worker could send the second text before it sees the first."""
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    to = proxies(conversation)[0]
    order = []

    def post(name):
        params = signed_inbound(msisdn=ALICE[1:], to=to[1:], messageId=name)
        assert Client().post("/webhooks/vonage/inbound-sms", params, "application/json").status_code == 200
        order.append(name)
        connection.close()

    with transaction.atomic():
        assert Participant.objects.find_author(ALICE, to)
        waiting = threading.Thread(target=post, args=["second"])
        waiting.start()
        wait_for_a_lock()
        assert not order, "the second text was queued while the first was not visible"
        order.append("first")
    waiting.join(60)

    assert order == ["first", "second"]


def test_concurrent_texts_both_restart_the_idle_time():
    add_numbers(2)
    Conversation.objects.filter(pk=talk(ALICE, BOB).pk).update(idle_ttl=3600)
    to = proxies(Conversation.objects.get())[0]

    def post():
        params = signed_inbound(msisdn=ALICE[1:], to=to[1:], messageId="second")
        Client().post("/webhooks/vonage/inbound-sms", params, "application/json")
        connection.close()

    with transaction.atomic():
        Participant.objects.find_author(ALICE, to).conversation.touch(timezone.now())
        first = Conversation.objects.get().idle_at
        assert first
        waiting = threading.Thread(target=post)
        waiting.start()
        wait_for_a_lock()
    waiting.join(60)

    assert OutboundMessage.objects.count() == 1
    assert Conversation.objects.filter(idle_at__gt=first).exists()


def test_nothing_is_relayed_after_close_has_returned():
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    to = proxies(conversation)[0]

    def post():
        params = signed_inbound(msisdn=ALICE[1:], to=to[1:])
        Client().post("/webhooks/vonage/inbound-sms", params, "application/json")
        connection.close()

    with transaction.atomic():
        conversation.close()
        late = threading.Thread(target=post)
        late.start()
        wait_for_a_lock()
    late.join(60)

    assert InboundMessage.objects.get().outcome == "ended"
    assert not OutboundMessage.objects.filter(kind="relay").exists()


def test_a_message_id_posted_fifty_times_at_once_is_relayed_once():
    add_numbers(2)
    params = signed_inbound(msisdn=ALICE[1:], to=proxies(talk(ALICE, BOB))[0][1:])

    answers = at_once(
        50, lambda _: Client().post("/webhooks/vonage/inbound-sms", params, "application/json").status_code
    )

    assert answers == [200] * 50
    assert InboundMessage.objects.count() == 1
    assert OutboundMessage.objects.count() == 1


def test_a_stranger_who_texts_twenty_times_at_once_gets_one_notice():
    to = add_numbers(1)[0].number

    def post(index):
        params = signed_inbound(msisdn=ALICE[1:], to=to[1:], messageId=f"m-{index}")
        return Client().post("/webhooks/vonage/inbound-sms", params, "application/json").status_code

    assert at_once(20, post) == [200] * 20
    assert InboundMessage.objects.count() == 20
    assert OutboundMessage.objects.count() == 1

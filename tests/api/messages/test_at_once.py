"""Concurrent writers on PostgreSQL: a reader that continues from a cursor gets every message once."""

import threading
from collections import Counter

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from conversations.delivery import outbox
from conversations.delivery.reconcile import _settle
from conversations.delivery.relay import Relay
from conversations.models import Conversation, InboundMessage, OutboundMessage
from conversations.worker.periodic_jobs import fail_expired_messages
from smsproxy.api.models import ApiKey
from smsproxy.carriers import override
from smsproxy.carriers.base import PermanentFailure, ReceiptStatus, SentRecord
from tests.support.api_requests import is_refused
from tests.support.builders import ALICE, BOB, ScriptedCarrier, add_numbers, members, proxies, talk
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.message_api import page, report, send, sent, thread, write

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("no_hurry"),
]


@pytest.fixture
def pair(db):
    add_numbers(4)
    return talk(ALICE, BOB)


@pytest.fixture
def new_api(db):
    """Return a function that returns a client for one thread."""
    _, key = ApiKey.objects.issue("rides-backend")

    def new_api():
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
        return client

    return new_api


def in_a_thread(work):
    def run():
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def kinds(messages):
    return Counter(message["kind"] for message in messages)


def test_a_reader_gets_every_message_once_while_many_write(new_api, pair, settings, carrier):
    settings.MESSAGES_PER_CONVERSATION_MINUTE = settings.MESSAGES_PER_PERSON_MINUTE = 0
    settings.NOTICES_PER_NUMBER_HOUR = settings.NOTICES_PER_PERSON_DAY = 0
    for index in range(10):
        write(ALICE, proxies(pair)[0], f"to be lost {index}")
    Relay().send_due()
    lost = list(OutboundMessage.objects.filter(kind="relay").order_by("pk"))
    of_alice, of_bob = proxies(pair)
    is_over = threading.Event()
    seen = []

    def work(index):
        api = new_api()
        match index:
            case 0 | 1:
                for place in range(10):
                    write(ALICE, of_alice, f"Alice {index} {place}")
            case 2:
                for _ in range(10):
                    write(BOB, of_bob, "HELP")
            case 3 | 4:
                for place in range(10):
                    sent(send(api, pair, f"service {index} {place}"))
            case 5:
                for message in lost:
                    report(message, "failed", "2")

    def read():
        api, cursor = new_api(), {}
        while True:
            was_over = is_over.is_set()
            answer = page(api, pair, page_size=7, **cursor)
            seen.extend(answer["results"])
            cursor = {"after": answer["cursor"]}
            if was_over and not answer["has_more"]:
                return

    reader = in_a_thread(read)
    at_once(6, work)
    is_over.set()
    reader.join(60)

    everything = thread(new_api(), pair, page_size=200)
    assert Counter(each["id"] for each in seen) == Counter(each["id"] for each in everything)
    assert kinds(seen)["text"] == 40
    assert kinds(seen)["api"] == 20
    assert kinds(seen)["notice"] == 10
    assert kinds(seen)["keyword_answer"] > 0
    for kind in ("text", "api"):
        assert [each["id"] for each in seen if each["kind"] == kind] == [
            each["id"] for each in everything if each["kind"] == kind
        ]


def by_a_receipt(relay):
    report(relay, "failed", "2")


def by_a_worker(relay):
    carrier = ScriptedCarrier([PermanentFailure("an invalid recipient", code="6")])
    with override(carrier):
        Relay().send_due()


def by_age(relay):
    fail_expired_messages()


def by_a_record(relay):
    _settle(
        relay,
        [
            SentRecord(
                client_ref=relay.carrier_ref,
                carrier_message_id="found",
                status=ReceiptStatus.UNDELIVERED,
                error_code="2",
                price=None,
            )
        ],
    )


@pytest.mark.parametrize("fail", [by_a_receipt, by_a_worker, by_age, by_a_record])
def test_a_loss_waits_for_its_conversation_before_it_locks_the_message(pair, carrier, settings, fail):
    """Otherwise a replacement of the number, which locks both in the other order, and the loss wait for each other."""
    write(ALICE, proxies(pair)[0])
    if fail is by_a_receipt:
        Relay().send_due()
    relay = OutboundMessage.objects.get()
    if fail is by_age:
        settings.MESSAGE_MAX_AGE_SECONDS = 0

    with transaction.atomic():
        Conversation.objects.lock([pair.pk])
        losing = in_a_thread(lambda: fail(relay))
        wait_for_a_lock()
        assert OutboundMessage.objects.select_for_update(nowait=True).get(pk=relay.pk)
    losing.join(60)

    assert OutboundMessage.objects.filter(kind="notice", conversation=pair, participant__position=0).count() == 1


def test_a_stop_waits_for_the_other_conversation_in_which_it_tells_somebody(pair):
    write(ALICE, proxies(pair)[0])
    relay = OutboundMessage.objects.get()
    other = talk(ALICE, BOB)

    with transaction.atomic():
        Conversation.objects.lock([pair.pk])
        stopping = in_a_thread(lambda: write(BOB, proxies(other)[1], "STOP"))
        wait_for_a_lock()
        assert OutboundMessage.objects.select_for_update(nowait=True).get(pk=relay.pk)
    stopping.join(60)

    told = OutboundMessage.objects.filter(kind="notice").order_by("pk").values_list("conversation", "recipient")
    alice = members(pair)[0].real_number_id
    assert sorted(told) == [(pair.pk, alice), (other.pk, alice)]


def test_a_reader_does_not_pass_a_notice_that_is_not_visible_yet(new_api, pair, carrier):
    write(ALICE, proxies(pair)[0])
    Relay().send_due()
    relay = OutboundMessage.objects.get()
    cursors = []

    with transaction.atomic():
        Conversation.objects.lock([pair.pk])
        outbox.queue_notice(members(pair)[0], "first")
        losing = in_a_thread(lambda: report(relay, "failed", "2"))
        wait_for_a_lock()
        in_a_thread(lambda: cursors.append(page(new_api(), pair)["cursor"])).join(60)
    losing.join(60)

    assert len(thread(new_api(), pair, after=cursors[0])) == 2


def test_nothing_is_sent_by_api_after_close_has_returned(new_api, pair):
    answers = []

    with transaction.atomic():
        Conversation.objects.lock([pair.pk])
        sending = in_a_thread(lambda: answers.append(send(new_api(), pair)))
        wait_for_a_lock()
        pair.close()
    sending.join(60)

    is_refused(answers[0], 409, "conversation_ended")
    assert not OutboundMessage.objects.exists()


def test_one_request_that_is_sent_ten_times_at_once_sends_one_text(new_api, pair):
    answers = at_once(10, lambda index: send(new_api(), pair, key="one").status_code)

    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert OutboundMessage.objects.count() == 2
    assert not InboundMessage.objects.exists()

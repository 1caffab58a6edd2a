"""A conversation without messages for `idle_ttl` seconds is closed automatically."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations.intake import receive
from conversations.models import Conversation, OutboundMessage, Participant
from conversations.worker.periodic_jobs import close_idle, run_jobs
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.concurrency import wait_for_a_lock
from tests.support.outbox import later

URL = "/api/v1/conversations/"
HOUR = 3600

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _pool(db):
    add_numbers(2)


def request_body(**fields):
    return {"participants": [{"number": ALICE}, {"number": BOB}], "notify": False} | fields


def receive_message(conversation, words):
    to = proxies(conversation)[0]
    receive.receive(InboundText(carrier_message_id=words, sender=ALICE, recipient=to, text=words))


def relayed():
    return [message.text for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def test_the_response_shows_the_idle_ttl_and_the_time_it_runs_out(api):
    made = api.post(URL, request_body(idle_ttl=HOUR)).json()

    assert made["idle_ttl"] == HOUR
    created, idle = (datetime.fromisoformat(made[field]) for field in ("created_at", "idle_at"))
    assert idle - created == timedelta(seconds=HOUR)


@pytest.mark.parametrize("fields", [{}, {"idle_ttl": None}])
def test_a_conversation_without_an_idle_ttl_never_idles_out(api, fields, time_machine):
    made = api.post(URL, request_body(**fields)).json()
    assert made["idle_ttl"] is made["idle_at"] is None

    later(time_machine, 1000 * 24 * HOUR)
    run_jobs()

    assert api.get(f"{URL}{made['id']}/").json()["status"] == "open"


@pytest.mark.parametrize("wrong", [0, 59, 366 * 24 * HOUR + 1, "an hour", True])
def test_an_idle_ttl_out_of_bounds_is_a_400(api, wrong):
    answer = api.post(URL, request_body(idle_ttl=wrong))

    assert answer.status_code == 400
    assert "idle_ttl" in answer.content.decode()
    assert not Conversation.objects.exists()


def test_a_repeat_with_another_idle_ttl_is_a_422(api):
    headers = {"Idempotency-Key": "order-42"}

    assert api.post(URL, request_body(idle_ttl=HOUR), headers=headers).status_code == 201
    assert api.post(URL, request_body(idle_ttl=2 * HOUR), headers=headers).status_code == 422


def test_an_idle_conversation_is_closed_with_its_reason_when_the_idle_ttl_runs_out(time_machine, settings):
    conversation = talk(ALICE, BOB, idle_ttl=HOUR)
    later(time_machine, HOUR - 5)
    assert close_idle() == 0

    later(time_machine, 6)
    assert close_idle() == 1

    conversation.refresh_from_db()
    assert (conversation.state, conversation.closed_reason) == ("closed", "idle")
    assert conversation.events.first().reason == "idle"
    cool = timezone.now() + timedelta(seconds=settings.COOL_DOWN_SECONDS)
    assert not conversation.participants.filter(release_at__lt=cool - timedelta(seconds=10)).exists()
    assert not conversation.participants.filter(release_at=None).exists()
    assert close_idle() == 0


def test_an_idle_conversation_has_ended_even_before_it_is_closed(api, time_machine):
    conversation = talk(ALICE, BOB, idle_ttl=HOUR)
    later(time_machine, HOUR + 1)

    receive_message(conversation, "hello?")

    assert relayed() == []
    assert api.get(f"{URL}{conversation.public_id}/").json()["status"] == "closed"
    assert api.get(URL, {"status": "open"}).json()["results"] == []
    assert len(api.get(URL, {"status": "closed"}).json()["results"]) == 1


def test_a_message_restarts_the_idle_ttl(time_machine):
    conversation = talk(ALICE, BOB, idle_ttl=HOUR)

    for minutes in (40, 40, 40):
        later(time_machine, minutes * 60)
        run_jobs()
        receive_message(conversation, f"still here after {minutes} minutes at {timezone.now():%H:%M:%S}")
    assert len(relayed()) == 3

    later(time_machine, HOUR + 1)
    run_jobs()
    conversation.refresh_from_db()
    assert conversation.closed_reason == "idle"


def test_an_active_conversation_is_still_ended_by_its_ttl(time_machine):
    conversation = talk(ALICE, BOB, ttl=HOUR, idle_ttl=HOUR)
    later(time_machine, HOUR / 2)
    receive_message(conversation, "in time")

    later(time_machine, HOUR / 2 + 1)
    run_jobs()

    conversation.refresh_from_db()
    assert conversation.closed_reason == "expired"


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_a_message_that_arrives_while_idle_conversations_are_closed_keeps_its_own_open():
    conversation = talk(ALICE, BOB, idle_ttl=HOUR)
    Conversation.objects.update(idle_at=timezone.now())
    swept = []

    def close_concurrently():
        swept.append(close_idle())
        connection.close()

    with transaction.atomic():
        # The message arrived in time, and its transaction is about to commit.
        Participant.objects.find_author(ALICE, proxies(conversation)[0]).conversation.touch(timezone.now())
        beside = threading.Thread(target=close_concurrently)
        beside.start()
        wait_for_a_lock()
    beside.join(60)

    conversation.refresh_from_db()
    assert conversation.state == "open"
    assert swept == [0]

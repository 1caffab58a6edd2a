"""Concurrent changes of one conversation lose nothing, on PostgreSQL."""

import threading
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from conversations.models import Conversation, InboundMessage
from smsproxy.api.models import ApiKey
from smsproxy.events.models import FeedEvent
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.late_messages import HOUR, text

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("no_hurry"),
]


@pytest.fixture
def client():
    """Return a function that makes a client of the API, one for each thread."""
    _, key = ApiKey.objects.issue("rides-backend")

    def client():
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
        return made

    return client


def test_changes_of_different_fields_and_texts_do_not_undo_each_other(client):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=HOUR, idle_ttl=60)
    number, address = proxies(conversation)[0], f"{URL}{conversation.public_id}/"
    changes: list[dict[str, Any]] = [
        {"metadata": {"driver": 7}},
        {"reference": "order-42"},
        {"language": "de"},
        {"texts": {"ended": "Over."}},
        {"late_messages": "reopen"},
        {"ttl": 2 * HOUR},
        {"idle_ttl": HOUR},
    ]

    def work(index):
        if index < len(changes):
            return client().patch(address, changes[index]).status_code
        return text(ALICE, number, f"text {index}").outcome

    done = Counter(at_once(len(changes) + 6, work))

    assert done == {200: len(changes), "relayed": 6}
    found = client().get(address).json()
    for change in changes:
        assert {name: found[name] for name in change} == change
    assert datetime.fromisoformat(found["idle_at"]) > timezone.now() + timedelta(seconds=HOUR - 60)
    assert found["message_counts"]["relayed"] == 6


def test_a_text_that_waits_for_a_change_obeys_it():
    """The change is written, and not committed yet, when the text arrives."""
    add_numbers(2)
    conversation = talk(ALICE, BOB, idle_ttl=60)
    number = proxies(conversation)[0]
    outcomes = []

    def write():
        outcomes.append(text(ALICE, number).outcome)
        connection.close()

    with transaction.atomic():
        conversation.change(idle_ttl=HOUR)
        waiting = threading.Thread(target=write)
        waiting.start()
        wait_for_a_lock()
    waiting.join()

    assert outcomes == ["relayed"]
    conversation.refresh_from_db()
    assert conversation.idle_at
    assert conversation.idle_at > timezone.now() + timedelta(seconds=HOUR - 60)


def test_extensions_at_once_add_up(client):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=HOUR)
    address = f"{URL}{conversation.public_id}/extend/"

    answers = at_once(8, lambda index: client().post(address, {"seconds": 60}).status_code)

    assert answers == [200] * 8
    end = conversation.expires_at
    conversation.refresh_from_db()
    assert end
    assert conversation.expires_at == end + timedelta(seconds=8 * 60)
    assert FeedEvent.objects.filter(type="conversation.changed", data={"changed": ["expires_at"]}).count() == 8


def test_an_extension_repeated_at_once_with_its_key_extends_once(client):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=HOUR)
    address, headers = f"{URL}{conversation.public_id}/extend/", {"Idempotency-Key": "one-minute"}

    answers = at_once(8, lambda index: client().post(address, {"seconds": 60}, headers=headers).status_code)

    assert set(answers) <= {200, 409}
    end = conversation.expires_at
    conversation.refresh_from_db()
    assert end
    assert conversation.expires_at == end + timedelta(seconds=60)
    assert FeedEvent.objects.filter(type="conversation.changed").count() == 1


@pytest.mark.parametrize("act", ["change", "reopen"])
def test_of_conversations_that_take_one_unique_reference_at_once_one_gets_it(client, act):
    add_numbers(8)
    rows = []
    for index in range(6):
        reference = "order-42" if act == "reopen" else f"order-{index}"
        rows.append(talk(ALICE, BOB, reference=reference, unique_reference=True))
        if act == "reopen":
            rows[-1].close()

    def take(index):
        address = f"{URL}{rows[index].public_id}/"
        if act == "reopen":
            return client().post(f"{address}reopen/").status_code
        return client().patch(address, {"reference": "order-42"}).status_code

    answers = Counter(at_once(6, take))

    assert answers == {200: 1, 409: 5}
    assert Conversation.objects.filter(reference="order-42", state="open").count() == 1


def test_a_conversation_that_is_closed_while_it_is_changed_stays_closed(client):
    add_numbers(2)
    conversation = talk(ALICE, BOB, ttl=HOUR)
    address = f"{URL}{conversation.public_id}/"
    actions = [
        lambda: client().post(f"{address}close/", {"reason": "ride completed"}),
        lambda: client().patch(address, {"ttl": 2 * HOUR}),
        lambda: client().post(f"{address}extend/", {"seconds": 60}),
        lambda: client().patch(address, {"metadata": {"a": 1}}),
    ]

    statuses = at_once(8, lambda index: actions[index % 4]().status_code)

    assert set(statuses) <= {200, 409}
    found = client().get(address).json()
    assert (found["status"], found["closed_reason"], found["expires_at"]) == ("closed", "ride completed", None)
    assert found["metadata"] == {"a": 1}
    assert not InboundMessage.objects.exists()

"""Concurrent creation of conversations on real PostgreSQL."""

import threading
from collections import Counter

import pytest
from django.db import connection
from django.test import Client

from conversations.lifecycle.request import NoNumberFree
from conversations.models import (
    Conversation,
    OutboundMessage,
    Participant,
)
from smsproxy.api.models import ApiKey
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, proxies, talk
from tests.support.concurrency import at_once

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("no_hurry"),
]


def test_two_hundred_concurrent_creations_for_one_person_never_share_a_pair():
    add_numbers(200, start="+4477009")

    def create(index):
        # PostgreSQL allows 100 connections: the threads share a limited number, and still race.
        with slots:
            try:
                return talk(ALICE, f"+4477007{index:05}")
            finally:
                connection.close()

    slots = threading.Semaphore(60)
    made = at_once(200, create)

    assert len(made) == 200
    pairs = Counter(Participant.objects.unreleased().values_list("real_number", "proxy_number"))
    assert len(pairs) == 400
    assert set(pairs.values()) == {1}
    with pytest.raises(NoNumberFree):
        talk(ALICE, CHARLIE)


def test_concurrent_creations_for_the_same_two_people_do_not_deadlock():
    add_numbers(40)

    made = at_once(30, lambda index: talk(ALICE, BOB) if index % 2 else talk(BOB, ALICE))

    assert len({conversation.pk for conversation in made}) == 30
    assert Participant.objects.unreleased().count() == 60


def test_without_the_lock_on_people_the_constraint_alone_keeps_pairs_apart(monkeypatch):
    monkeypatch.setattr("numbers.models.real_number.RealNumberQuerySet.lock", lambda queryset, people: None)
    add_numbers(20)

    made = at_once(20, lambda index: talk(ALICE, f"+4477007{index:05}"))

    assert len({proxies(conversation)[0] for conversation in made}) == 20


def test_an_idempotency_key_posted_thirty_times_at_once_creates_one_conversation():
    add_numbers(1)
    _, key = ApiKey.objects.issue("rides-backend")
    body = {"participants": [{"number": ALICE}, {"number": BOB}]}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "order-42"}

    answers = at_once(
        30, lambda _: Client().post("/api/v1/conversations/", body, "application/json", headers=headers).status_code
    )

    assert 201 in answers
    assert set(answers) <= {201, 409}  # 409: the first one was still running.
    assert Conversation.objects.count() == 1
    assert OutboundMessage.objects.count() == 2

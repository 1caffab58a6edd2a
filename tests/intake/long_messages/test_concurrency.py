"""Parts that arrive at the same time as each other, or as the timeout job."""

import threading

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from conversations.intake import long_messages
from conversations.models import InboundMessage, LongMessage
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import RealNumber
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.concurrency import at_once, wait_for_a_lock
from tests.support.long_messages import URL, joined_messages, params, relayed

pytestmark = pytest.mark.django_db


def post(body):
    assert Client().post(URL, body, "application/json").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.usefixtures("no_hurry")
def test_parts_that_arrive_concurrently_make_one_message():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]
    bodies = [params(f"<{part}>", part, 8, to=to, id=f"m-{part}{again}") for part in range(1, 9) for again in "abc"]
    bodies += [params(f"<{part}>", part, 8, to=to, id=f"m-{part}a") for part in range(1, 9)]

    at_once(len(bodies), lambda index: post(bodies[index]))

    assert relayed() == ["".join(f"<{part}>" for part in range(1, 9))]
    assert LongMessage.objects.count() == 1
    assert InboundMessage.objects.filter(outcome="part").count() == 8
    assert InboundMessage.objects.filter(outcome="duplicate_part").count() == 16


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
@pytest.mark.usefixtures("no_hurry")
def test_a_last_part_that_arrives_during_the_timeout_job_is_relayed_once():
    add_numbers(2)
    to = proxies(talk(ALICE, BOB))[0]

    for time in range(10):
        first, last = (params(f"<{time}.{part}>", part, 2, to=to) for part in (1, 2))
        post(first)
        LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now())

        at_once(5, lambda index, last=last: run_jobs() if index else post(last))

        LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now())
        run_jobs()
        gone = "".join(relayed())
        assert (gone.count(f"<{time}.1>"), gone.count(f"<{time}.2>")) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_the_timeout_job_locks_the_person_before_the_long_message(receive_part):
    """As a part of it does, and a creation: otherwise they would deadlock over a keyword."""
    receive_part("one ", 1, 2)
    late = LongMessage.objects.get()
    is_locked = threading.Event()

    def relay(index):
        if index:
            is_locked.wait()
            long_messages.relay_incomplete(late)
            return
        with transaction.atomic():
            RealNumber.objects.lock([late.sender])
            is_locked.set()
            wait_for_a_lock()
            assert LongMessage.objects.select_for_update(nowait=True).get() == late

    at_once(2, relay)
    assert len(joined_messages()) == 1

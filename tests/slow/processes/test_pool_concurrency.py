"""Sixteen concurrent processes with the same few people and numbers, on PostgreSQL, watched over plain SQL."""

import secrets
import threading
import time
from collections import Counter

import psycopg
import pytest
from django.db import connection, transaction

from conversations.lifecycle.request import NoNumberFree
from conversations.models import Conversation, Participant
from numbers.assignment.policy import ExhaustionPolicy
from numbers.models import VirtualNumber
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.concurrency import PROCESSES, Crowd, Plan, wait_for_a_lock
from tests.support.relay_process import url_of_the_test

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

TURNS = 45  # of each process
PEOPLE = [f"+44770090000{index}" for index in range(8)]

# Each query finds rows that must never exist. It is one statement, and sees only committed transactions.
WRONG = {
    "a pair that is live twice": """
        SELECT real_number_id, proxy_number_id FROM conversations_participant
        WHERE released_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1
    """,
    "a number whose count of live pairs is wrong": """
        SELECT id, live_pair_count FROM numbers_virtualnumber WHERE live_pair_count <> (
            SELECT count(*) FROM conversations_participant WHERE proxy_number_id = numbers_virtualnumber.id
            AND released_at IS NULL
        )
    """,
    "somebody in an open conversation whose pair is released, or cools down": """
        SELECT p.id FROM conversations_participant p JOIN conversations_conversation c ON c.id = conversation_id
        WHERE c.state = 'open' AND replaced_by_id IS NULL AND (released_at IS NOT NULL OR release_at IS NOT NULL)
    """,
    "somebody in a closed conversation whose pair will never be released": """
        SELECT p.id FROM conversations_participant p JOIN conversations_conversation c ON c.id = conversation_id
        WHERE c.state = 'closed' AND release_at IS NULL
    """,
    "a conversation that is closed before its time is up": """
        SELECT id FROM conversations_conversation WHERE closed_reason = 'expired' AND expires_at > closed_at
    """,
    "a conversation that is incomplete": """
        SELECT c.id FROM conversations_conversation c LEFT JOIN conversations_participant p ON c.id = conversation_id
        AND replaced_by_id IS NULL
        GROUP BY 1 HAVING count(DISTINCT real_number_id) < 2 OR count(*) <> max(position) + 1
    """,
    "a text that goes to somebody of another conversation, or from a number that is not theirs in it": """
        SELECT m.id FROM conversations_outboundmessage m
        JOIN conversations_participant p ON p.id = m.participant_id
        LEFT JOIN conversations_inboundmessage i ON i.id = m.inbound_id
        LEFT JOIN conversations_participant author ON author.id = i.participant_id
        WHERE p.conversation_id <> m.conversation_id OR p.proxy_number_id <> m.sender_id
        OR p.real_number_id <> m.recipient_id OR author.conversation_id <> m.conversation_id
        OR author.real_number_id = m.recipient_id
    """,
    "a text that goes to a conversation younger than its first part": """
        SELECT m.id FROM conversations_outboundmessage m
        JOIN conversations_inboundmessage i ON i.id = m.inbound_id
        JOIN conversations_participant author ON author.id = i.participant_id
        JOIN conversations_inboundmessage part ON part.long_message_id = i.long_message_id AND part.outcome = 'part'
        WHERE part.received_at < author.created_at
    """,
}
TOO_FULL = "SELECT id, live_pair_count FROM numbers_virtualnumber WHERE live_pair_count > %s"


def watch(crowd, cap):
    """Return how many forbidden rows each query found, while the processes work and after they have ended."""
    found = Counter()
    with psycopg.connect(url_of_the_test(), autocommit=True) as outside:
        is_last = False
        while not is_last:
            is_last = not crowd.is_at_work
            for what, query in WRONG.items():
                found[what] += len(outside.execute(query).fetchall())
            if cap:
                found["a number above its cap"] += len(outside.execute(TOO_FULL, [cap]).fetchall())
            time.sleep(0.02)
    return +found


@pytest.mark.parametrize(("numbers", "cap"), [(6, 0), (6, 3)], ids=["no cap", "a cap of three"])
def test_sixteen_concurrent_processes_keep_pairs_unique_and_counts_correct(tmp_path, numbers, cap):
    add_numbers(numbers)
    plan = Plan(seed=secrets.randbelow(10**6), turns=TURNS, people=PEOPLE, cool_down=0.2, cap=cap)

    with Crowd(tmp_path, plan) as crowd:
        found = watch(crowd, cap)
        done = crowd.done()

    total = sum(done, Counter())
    print(plan, total)  # noqa: T201 - pytest shows it with a failure
    assert not found
    assert not [what for what in total if what.startswith("error")]
    assert len(done) == PROCESSES
    # Each of these happens dozens of times. How often depends on the machine and on chance.
    happened = ["created", "closed", "reopened", "released", "no number free", "text relayed", "long text", "replaced"]
    assert [what for what in happened if not total[what]] == []


def test_a_cool_down_is_cut_short_only_after_a_concurrent_reopening_ends():
    """Otherwise the two could deadlock: both change the same rows, not always in the same order."""
    add_numbers(1)
    ended = talk(ALICE, BOB).close()
    alice, bob = (Participant.objects.filter(pk=each.pk) for each in members(ended))
    answers: list[object] = []

    def create():
        try:
            answers.append(talk(ALICE, BOB, on_exhausted=ExhaustionPolicy.SOFT))
        except Exception as error:  # noqa: BLE001
            answers.append(type(error))
        connection.close()

    late = threading.Thread(target=create)
    with transaction.atomic():
        # Do as reopening does, but row by row.
        Conversation.objects.select_for_update(no_key=True).get(pk=ended.pk)
        bob.update(release_at=None)
        late.start()
        wait_for_a_lock()
        alice.update(release_at=None)
        ended.reopen()
    late.join(60)

    assert answers == [NoNumberFree]


@pytest.mark.parametrize(("verb", "state"), [("retire", "active"), ("mark_lost", "quarantined")])
def test_a_number_does_not_retire_during_a_concurrent_assignment(verb, state):
    """Retiring waits for the assignment, then counts it. A number lost at the carrier stays in quarantine for it."""
    [number] = add_numbers(1)
    failures = []

    def remove_number():
        try:
            getattr(VirtualNumber.objects.get(pk=number.pk), verb)(reason="for the test")
        except StaleState as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=remove_number)
    with transaction.atomic():
        assert VirtualNumber.objects.add_live_pairs({number.pk: 1})
        thread.start()
        wait_for_a_lock()
    thread.join(60)

    number.refresh_from_db()
    assert (number.state, number.live_pair_count) == (state, 1)
    assert len(failures) == (verb == "retire")

"""Claims beside a transaction that stays open for an hour of 50 messages a second, which keeps PostgreSQL from tidying.

The messages pass through the states of the outbox in groups, so that the hour takes minutes. At the end, claims are
timed with the low-water mark and without it, and then again after the transaction has ended.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import psycopg
from django.db import connection, transaction

from benchmarks.http_load import percentile
from benchmarks.millions import write_conversations
from benchmarks.report import Measured
from benchmarks.stack import Bench
from conversations.delivery import claim, low_water
from conversations.models import AccountRateLimit, NumberRateLimit, OutboundMessage, Participant
from numbers.models import VirtualNumber

CONVERSATIONS, NUMBERS = 20_000, 1000
MESSAGES = 180_000
GROUP = 100
CLAIMS = 60

_QUEUE = """
    INSERT INTO conversations_outboundmessage (
        client_ref, kind, state, conversation_id, participant_id, sender_id, recipient_id, text, segments, attempts,
        due_at, error_code, created_at
    )
    SELECT replace(gen_random_uuid()::text, '-', ''), 'notice', 'queued', conversation_id, id, proxy_number_id,
    real_number_id, repeat('x', 140), 1, 0, statement_timestamp(), '', statement_timestamp()
    FROM conversations_participant WHERE id = ANY(%s) RETURNING id
"""
_SEND = "UPDATE conversations_outboundmessage SET state = 'sending', attempts = 1 WHERE id = ANY(%s)"
_SENT = "UPDATE conversations_outboundmessage SET state = 'sent', lease_until = NULL, part_count = 1 WHERE id = ANY(%s)"
# A claim changes the row of each number, and the account's.
_PACES = """
    UPDATE conversations_numberratelimit SET ready_at = ready_at
    WHERE number_id IN (SELECT sender_id FROM conversations_outboundmessage WHERE id = ANY(%s))
"""
_ACCOUNT = "UPDATE conversations_accountratelimit SET ready_at = ready_at"


def measure(bench: Bench) -> Measured:
    write_conversations(CONVERSATIONS, NUMBERS)
    people = list(Participant.objects.values_list("pk", flat=True))
    AccountRateLimit.load()
    NumberRateLimit.objects.bulk_create(
        NumberRateLimit(number_id=number) for number in VirtualNumber.objects.values_list("pk", flat=True)
    )
    _vacuum()
    before = _claims(people)
    with _open_transaction(bench.environment["DATABASE_URL"]):
        _pass_messages(people, bench.some(MESSAGES))
        with mock.patch.object(low_water.LowWater, "note_walk"):
            without = _claims(people)
        beside = _claims(people)
        pages = _pages_of_a_walk()
    _vacuum()
    after = _claims(people)
    return Measured(
        values={
            "claim": beside[0],
            "claim_before": before[0],
            "claim_without_mark": without[0],
            "pages": pages[0],
            "pages_without_mark": pages[1],
        },
        details={
            "p50, p99 ms of a claim, before": before,
            "beside the open transaction, without the mark": without,
            "beside it": beside,
            "after it and a vacuum": after,
        },
    )


def _pass_messages(people: list[int], count: int) -> None:
    """Let this many messages pass from `queued` through `sending` to `sent`."""
    for _ in range(count // GROUP):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_QUEUE, [random.sample(people, GROUP)])
            ids = [pk for (pk,) in cursor.fetchall()]
        for statement in (_SEND, _PACES, _SENT):
            with connection.cursor() as cursor:
                cursor.execute(statement, [ids])
        for _ in range(GROUP // 20):
            with connection.cursor() as cursor:
                cursor.execute(_ACCOUNT)


def _claims(people: list[int]) -> tuple[float, float]:
    """Queue 20 messages and claim them, again and again. Return the median and p99 of a claim in milliseconds."""
    taken = []
    for _ in range(CLAIMS):
        with connection.cursor() as cursor:
            cursor.execute(_QUEUE, [random.sample(people, 20)])
        began = time.perf_counter()
        claimed = claim.claim(20).messages
        taken.append(1000 * (time.perf_counter() - began))
        OutboundMessage.objects.filter(pk__in=[each.message.pk for each in claimed]).update(state="sent")
    return percentile(taken, 50), percentile(taken, 99)


def _pages_of_a_walk() -> tuple[int, int]:
    """Return the pages that a walk of an empty queue reads, with a mark and without. They do not depend on the load."""
    mark = low_water.LowWater()
    mark.note_walk(low_water.SLOW + 1)
    mark.refresh()
    counts = []
    for low in (mark.value, 0):
        with connection.cursor() as cursor:
            query = "SELECT min(sender_id) FROM conversations_outboundmessage WHERE state = 'queued' AND sender_id > 0"
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query} AND id >= %s", [low])
            [[[answer]]] = cursor.fetchall()
        counts.append(answer["Plan"]["Shared Hit Blocks"] + answer["Plan"]["Shared Read Blocks"])
    return counts[0], counts[1]


@contextmanager
def _open_transaction(url: str) -> Iterator[None]:
    with psycopg.connect(url) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT 1 FROM conversations_worker")
        yield


def _vacuum() -> None:
    with connection.cursor() as cursor:
        for model in (OutboundMessage, AccountRateLimit, NumberRateLimit):
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")

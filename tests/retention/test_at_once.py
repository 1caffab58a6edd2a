"""Deletion beside other work, and the indexes that it uses, on PostgreSQL."""

import re
import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conversations.delivery import outbox
from conversations.models import InboundMessage, MessageEvent, OutboundMessage
from conversations.retention import delete_rows
from conversations.retention.delete_rows import OldRows, delete_batch
from conversations.retention.rules import RULES
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.concurrency import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

[OUTBOUND] = [rule for rule in RULES if rule.model is OutboundMessage]


@pytest.fixture
def old_messages(db):
    """Return 40 delivered messages, two years old."""
    add_numbers(2)
    bob = members(talk(ALICE, BOB))[1]
    messages = [outbox.queue_notice(bob, "hello") for _ in range(40)]
    ago = timezone.now() - timedelta(days=730)
    OutboundMessage.objects.update(state="delivered", created_at=ago)
    MessageEvent.objects.update(created_at=ago)
    return messages


def test_a_row_that_another_transaction_holds_is_passed_over_without_waiting(old_messages):
    is_held, may_end = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            OutboundMessage.objects.select_for_update(no_key=True).get(pk=old_messages[0].pk)
            is_held.set()
            may_end.wait(60)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(60)
    try:
        assert delete_batch(OUTBOUND).deleted == 39
    finally:
        may_end.set()
        holder.join()
    assert OutboundMessage.objects.get().pk == old_messages[0].pk
    assert MessageEvent.objects.count() == 1


def test_two_workers_at_once_delete_each_row_once(old_messages, monkeypatch):
    monkeypatch.setattr(delete_rows, "BATCH", 5)

    def work(_):
        job, total = OldRows(rules=[OUTBOUND]), 0
        while count := job():
            total += count
        connection.close()
        return total

    assert sum(at_once(4, work)) == 40
    assert not OutboundMessage.objects.exists()


def plan(query):
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(row for [row] in cursor.fetchall())


def test_each_batch_is_found_by_primary_key_and_deleted_through_indexes(old_messages):
    for rule in RULES:
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            delete_batch(rule)
            delete_batch(rule)
            queries = [each["sql"] for each in captured if re.match(r"SELECT|DELETE", each["sql"])]
            for query in queries:
                if "pg_" in query or "clock_timestamp" in query or "retentionmark" in query:
                    continue
                assert "Seq Scan" not in plan(query), (query, plan(query))


def test_each_foreign_key_to_rows_that_are_deleted_has_an_index(old_messages):
    """PostgreSQL looks for rows that point to a deleted one. Without an index it would read the whole table."""
    for rule in RULES:
        for model in [rule.model, *(model for model, _ in rule.with_it)]:
            for relation in model._meta.related_objects:
                pointing, column = relation.related_model._meta.db_table, relation.field.column
                query = f"SELECT 1 FROM {pointing} WHERE {column} = 1"
                with transaction.atomic():
                    assert "Seq Scan" not in plan(query), query


def test_a_walk_reads_no_more_than_a_batch(old_messages, monkeypatch):
    monkeypatch.setattr(delete_rows, "BATCH", 3)
    with CaptureQueriesContext(connection) as captured:
        assert delete_batch(OUTBOUND).deleted == 3
    walk = next(each["sql"] for each in captured if "is_old" in each["sql"])
    assert "LIMIT 3" in walk
    assert InboundMessage.objects.count() == 0

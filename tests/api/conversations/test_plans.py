"""The list finds its conversations and their messages by indexes, in tables of any size, as PostgreSQL's plans show."""

import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.models import Conversation
from smsproxy.database.clock import database_now
from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.late_messages import text_from
from tests.support.query_plans import nodes_of, rows_read_of

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.mark.parametrize("by", ["nothing", "reference", "number", "person"])
def test_a_list_reads_no_table_from_one_end_to_the_other(api, by):
    """Disable sequential scans, because the test tables are smaller than real ones."""
    add_numbers(2)
    conversation = talk(ALICE, BOB, reference="order-42", notify=True)
    text_from(0, conversation)
    query = {"reference": {"reference": "order-42"}, "number": {"proxy_number": proxies(conversation)[0]}}.get(by, {})
    headers = {"Participant-Number": ALICE} if by == "person" else {}
    with CaptureQueriesContext(connection) as statements:
        assert len(api.get(URL, query, headers=headers).json()["results"]) == 1

    plans = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in statements:
            if "conversations_" in statement["sql"]:
                cursor.execute(f"EXPLAIN {statement['sql']}")
                plans.append("\n".join(line for [line] in cursor.fetchall()))

    assert len(plans) >= 4
    assert "Seq Scan" not in "\n".join(plans)


@pytest.mark.parametrize("status", [None, "closed"])
@pytest.mark.parametrize("times", ["created", "closed", "created and closed"])
def test_a_list_of_a_short_time_reads_the_conversations_of_that_time_alone(api, times, status):
    """One was created, and another one was closed, in each minute."""
    table, many = "conversations_conversation", 5_000
    now = database_now()
    Conversation.objects.bulk_create(
        Conversation(
            state="closed",
            created_at=now - timedelta(minutes=many - minute),
            closed_at=now - timedelta(minutes=many - minute - 5),
        )
        for minute in range(many)
    )
    after, before = now - timedelta(minutes=4_000), now - timedelta(minutes=3_980)
    query = {"status": status} if status else {}
    for time in times.split(" and "):
        query |= {f"{time}_after": after.isoformat(), f"{time}_before": before.isoformat()}
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as statements:
        cursor.execute(f"ANALYZE {table}")
        assert len(api.get(URL, query).json()["results"]) == (15 if "and" in times else 20)

    [listed] = [each["sql"] for each in statements if f'FROM "{table}"' in each["sql"] and "LIMIT" in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {listed}")
        [[[answer]]] = cursor.fetchall()
    assert rows_read_of(table, list(nodes_of(answer["Plan"]))) <= 40, json.dumps(answer, indent=1)

"""The inbox reads its own partial indexes in tables of any size, as PostgreSQL's plans show."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.insight.waiting import Filters, waiting_page
from conversations.insight.waiting_count import waiting_count
from conversations.models import InboundMessage
from tests.support.builders import ALICE, BOB, STRANGER, add_numbers, talk
from tests.support.inbox import free_number, lost_text
from tests.support.query_plans import analyze, forget_statistics

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

MESSAGES = "conversations_inboundmessage"


@pytest.fixture
def text(transactional_db):
    """A text that waits, among many that were relayed."""
    forget_statistics()
    add_numbers(4)
    text = lost_text(STRANGER, free_number(talk(ALICE, BOB)))
    columns = [str(field.column) for field in InboundMessage._meta.concrete_fields if not field.primary_key]
    values = {column: column for column in columns} | {"carrier_message_id": "'m' || n", "outcome": "'relayed'"}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {MESSAGES} ({', '.join(values)}) SELECT {', '.join(values.values())} "
            f"FROM {MESSAGES}, generate_series(1, 20000) n WHERE id = %s",
            [text.pk],
        )
    analyze(MESSAGES)
    return text


@pytest.mark.parametrize(
    "work",
    [
        waiting_count,
        lambda: waiting_page(Filters(actor="sam")),
        lambda: waiting_page(Filters(actor="sam", oldest_first=True)),
        lambda: waiting_page(Filters(actor="sam", free=True)),
        lambda: waiting_page(Filters(actor="sam", mine=True)),
    ],
    ids=["count", "newest", "oldest", "free", "mine"],
)
def test_texts_that_were_relayed_are_not_read(text, work):
    with CaptureQueriesContext(connection) as queries:
        work()
    with transaction.atomic(), connection.cursor() as cursor:
        for query in queries:
            if MESSAGES in query["sql"]:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plan = "\n".join(line for [line] in cursor.fetchall())
                assert f"Seq Scan on {MESSAGES}" not in plan, plan
                assert "inbound_waiting" in plan or "inboundmessage_pkey" in plan, plan

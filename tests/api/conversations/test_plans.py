"""The list finds its conversations and their messages by indexes, in tables of any size, as PostgreSQL's plans show."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.support.api_requests import URL
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.late_messages import text_from

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

"""A page of a conversation's messages reads rows in proportion to its limit, as PostgreSQL's plans show."""

import pytest
from django.db import connection, transaction

from conversations.insight import message_history, thread
from conversations.insight.thread import Before
from conversations.models import ApiMessage, InboundMessage, MessageKind, OutboundMessage
from tests.support.builders import ALICE, BOB, add_numbers, members, proxies, talk
from tests.support.message_api import page, send, sent, write
from tests.support.query_plans import analyze, forget_statistics, rows_read_of, run_prepared, without_dead_rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

INBOUND, API, OUTBOUND = "conversations_inboundmessage", "conversations_apimessage", "conversations_outboundmessage"
LENGTH, LIMIT = 5_000, 11


@pytest.fixture(autouse=True)
def _new_tables(transactional_db):
    without_dead_rows("conversations_conversation")
    forget_statistics()


def test_a_page_of_messages_reads_no_table_of_messages_from_end_to_end(api):
    """Disable sequential scans, because the test tables are smaller than real ones."""
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    write(ALICE, proxies(conversation)[0])
    sent(send(api, conversation))
    parameters = {"conversation": conversation.pk, "limit": 51, "inbound": 0, "api": 0, "own": 0}

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {message_history._KEYS}", parameters)
        keys = "\n".join(line for [line] in cursor.fetchall())
        of_texts = OutboundMessage.objects.filter(inbound__in=[1, 2]).order_by("pk").explain()
        of_api = OutboundMessage.objects.filter(api_message__in=[1, 2]).order_by("pk").explain()

    assert "Seq Scan" not in keys
    assert "inbound_of_participant" in keys
    assert "api_message_of_conversation" in keys
    assert "own_message_of_conversation" in keys
    assert "relayed_once_to_each" in of_texts
    assert "outbound_of_api_message" in of_api
    assert page(api, conversation)["results"]


def multiply(model, count, **changes):
    """Insert count copies of the newest row. changes: the SQL of columns, in which n is the number of the copy."""
    table = model._meta.db_table
    columns = [str(field.column) for field in model._meta.concrete_fields if not field.primary_key]
    values = {column: column for column in columns} | changes
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
            f"FROM generate_series(1, %s) n, (SELECT * FROM {table} ORDER BY id DESC LIMIT 1) AS newest",
            [count],
        )


@pytest.fixture
def long_thread(api):
    """Return a conversation with most rows of each table. Its newest messages come after those of others."""
    add_numbers(4)
    conversation, other = talk(ALICE, BOB), talk(ALICE, BOB)
    mine, others = members(conversation)[0].pk, members(other)[0].pk
    client_ref = {"client_ref": "md5(random()::text || n)", "kind": f"'{MessageKind.NOTICE}'", "inbound_id": "NULL"}
    write(ALICE, proxies(conversation)[0])
    sent(send(api, conversation))
    for each, participant, count in ((conversation, mine, LENGTH), (other, others, LENGTH), (conversation, mine, 20)):
        at = {"conversation_id": str(each.pk)}
        multiply(InboundMessage, count, carrier_message_id="md5(random()::text || n)", participant_id=str(participant))
        multiply(ApiMessage, count, **at)
        relay = client_ref | {"kind": f"'{MessageKind.RELAY}'", "participant_id": "NULL", "api_message_id": "NULL"}
        multiply(OutboundMessage, count, **at, **relay)
        multiply(OutboundMessage, count, **at, **relay | client_ref)
    return conversation


@pytest.mark.parametrize("planned", ["custom", "generic"])
@pytest.mark.parametrize("begin", ["first", "middle", "before others", "last"])
def test_a_page_reads_rows_in_proportion_to_its_limit_not_to_the_length_of_the_thread(long_thread, planned, begin):
    """A generic plan does so without statistics of the messages, too. A custom plan then sorts a person's texts."""
    tables = [INBOUND, API, OUTBOUND]
    skipped = {"first": 0, "middle": LENGTH // 2, "before others": LENGTH - 5, "last": LENGTH + 15}[begin]
    own = OutboundMessage.objects.filter(conversation=long_thread, kind=MessageKind.NOTICE)
    texts = InboundMessage.objects.filter(participant__conversation=long_thread)
    parameters = {
        "conversation": long_thread.pk,
        "limit": LIMIT,
        "inbound": texts.order_by("pk").values_list("pk", flat=True)[skipped],
        "api": ApiMessage.objects.filter(conversation=long_thread).order_by("pk").values_list("pk", flat=True)[skipped],
        "own": own.order_by("pk").values_list("pk", flat=True)[skipped],
    }
    for is_known in {"generic": [False, True], "custom": [True]}[planned]:
        forget_statistics()  # Autovacuum may have seen half of the rows.
        analyze("conversations_conversation", "conversations_participant", *(tables if is_known else []))

        nodes = run_prepared(message_history._KEYS, parameters, planned=planned)

        read = {table: rows_read_of(table, nodes) for table in tables}
        # Both participants may have written all texts of the page. PostgreSQL rounds the rows of each loop up.
        assert read[INBOUND] <= 2 * (LIMIT + 1), is_known
        assert read[API] <= LIMIT, is_known
        assert read[OUTBOUND] <= LIMIT, is_known
        assert min(read.values()) >= 4, "expected that the page is not empty"


@pytest.mark.parametrize("planned", ["custom", "generic"])
@pytest.mark.parametrize("before", ["the newest", "middle"])
def test_a_page_of_the_staff_s_thread_reads_rows_in_proportion_to_its_limit(long_thread, planned, before):
    tables = [INBOUND, API, OUTBOUND]
    place = Before()
    if before == "middle":
        texts = InboundMessage.objects.filter(participant__conversation=long_thread).order_by("pk")
        asked = ApiMessage.objects.filter(conversation=long_thread).order_by("pk")
        own = OutboundMessage.objects.filter(conversation=long_thread, kind=MessageKind.NOTICE).order_by("pk")
        middle = [rows.values_list("pk", flat=True)[LENGTH // 2] for rows in (texts, asked, own)]
        place = place._replace(**dict(zip(("inbound", "api", "own"), middle, strict=True)))
    forget_statistics()
    analyze("conversations_conversation", "conversations_participant", *tables)

    parameters = {"conversation": long_thread.pk, "limit": LIMIT, **place._asdict()}
    nodes = run_prepared(thread._KEYS, parameters, planned=planned)

    read = {table: rows_read_of(table, nodes) for table in tables}
    assert read[INBOUND] <= 2 * (LIMIT + 1)
    assert read[API] <= LIMIT
    assert read[OUTBOUND] <= LIMIT
    assert min(read.values()) >= 4, "expected that the page is not empty"

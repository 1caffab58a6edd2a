"""The list of a conversation's messages uses indexes in tables of any size, as PostgreSQL's plans show."""

import pytest
from django.db import connection, transaction

from conversations.insight import message_history
from conversations.models import OutboundMessage
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.message_api import page, send, sent, write

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


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
    # Not the primary key: that is a walk through the messages of all conversations.
    assert "messages_pkey" not in keys
    assert "inboundmessage_participant_id" in keys
    assert "outboundmessage_conversation_id" in keys
    assert "relayed_once_to_each" in of_texts
    assert "outbound_of_api_message" in of_api
    assert page(api, conversation)["results"]

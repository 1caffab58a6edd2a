"""Millions of settled messages, generated inside the database: each with its relay, part, receipt and four events."""

from datetime import timedelta

from django.db import connection, transaction

from benchmarks.millions import connection_value, insert, without_indexes, write_conversations
from conversations.models import (
    DeliveryReceipt,
    InboundMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
)

MESSAGES_OF_A_CONVERSATION = 20
AT_ONCE = 1000  # conversations that run at the same time
NUMBERS = 1000
# A year of messages. The ids are in the order of time, as in production.
PERIOD = timedelta(days=365)


def write_settled(inbound: int) -> None:
    """Create this many inbound messages of two people each, and their delivered relays."""
    conversations = max(inbound // MESSAGES_OF_A_CONVERSATION, AT_ONCE)
    people = 2 * conversations // 5
    write_conversations(conversations, NUMBERS)
    first_number = connection_value("SELECT min(id) FROM numbers_virtualnumber")
    conversation = f"(i / {MESSAGES_OF_A_CONVERSATION * AT_ONCE} * {AT_ONCE} + mod(i, {AT_ONCE}) + 1)"
    conversation = f"least({conversation}, {conversations})"
    author, other = (f"(2 * {conversation} - mod(i / {AT_ONCE} + {side}, 2))" for side in (0, 1))
    age = f"({inbound} - i) * interval '{PERIOD.total_seconds() / inbound} s'"
    at = f"(statement_timestamp() - {age})"
    text = (
        "'" + OutboundMessage._meta.get_field("text").get_db_prep_save("I am on my way, there soon", connection) + "'"
    )

    def person(participant: str) -> str:
        return f"mod({participant} - 1, {people}) + 1"

    def number(participant: str) -> str:
        return f"mod({participant} + ({participant} / {people}) * 1009, {NUMBERS}) + {first_number}"

    with (
        transaction.atomic(),
        without_indexes(InboundMessage, OutboundMessage, OutboundPart, DeliveryReceipt, MessageEvent),
    ):
        insert(
            InboundMessage,
            inbound,
            carrier_message_id="'in-' || md5(i::text)",
            outcome="'relayed'",
            sender_id=person(author),
            virtual_number_id=number(author),
            participant_id=author,
            text=text,
            received_at=at,
        )
        insert(
            OutboundMessage,
            inbound,
            client_ref="md5(i::text)",
            kind="'relay'",
            state="'delivered'",
            inbound_id="i",
            conversation_id=conversation,
            participant_id=other,
            sender_id=number(other),
            recipient_id=person(other),
            text=text,
            segments="1",
            part_count="1",
            attempts="1",
            due_at=at,
            created_at=at,
        )
        insert(
            OutboundPart,
            inbound,
            message_id="i",
            attempt="1",
            carrier_message_id="md5('part' || i)",
            status="'delivered'",
            price="0.05",
        )
        insert(
            DeliveryReceipt,
            inbound,
            carrier_message_id="md5('part' || i)",
            client_ref="md5(i::text) || '.1'",
            status="'delivered'",
            error_code="'0'",
            message_id="i",
            virtual_number_id=number(other),
            network="'23410'",
            received_at=at,
        )
        for step, (old, new, reason) in enumerate(STEPS):
            insert(
                MessageEvent,
                inbound,
                id=f"4 * i + {step}",
                message_id="i",
                old_state=f"'{old}'",
                new_state=f"'{new}'",
                reason=f"'{reason}'",
                created_at=at,
            )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


STEPS = [
    ("", "queued", "queued as relay"),
    ("queued", "sending", "attempt 1"),
    ("sending", "sent", "accepted"),
    ("sent", "delivered", "delivery receipt"),
]

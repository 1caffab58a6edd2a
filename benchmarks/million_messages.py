"""A million messages in 200,000 conversations, for the pages of staff, generated inside the database."""

from dataclasses import dataclass

from django.db import connection, transaction

from benchmarks.millions import insert, without_indexes, write_conversations
from benchmarks.seeding import person
from conversations.models import (
    ConversationEvent,
    DeliveryReceipt,
    InboundMessage,
    LimitUsage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    Participant,
)
from numbers.models import RealNumber
from smsproxy.events.models import FeedEvent

# All inbound messages are relayed in turns by the participants. Of the rest, as many as a bad month has.
_OUTCOME = """CASE WHEN mod(i, 50) = 7 THEN 'no_route' WHEN mod(i, 97) = 5 THEN 'part' WHEN mod(i, 997) = 5 THEN 'held'
    WHEN mod(i, 4999) = 5 THEN 'undecodable' ELSE 'relayed' END"""
_STATE = """CASE WHEN mod(i, 61) = 3 THEN 'undelivered' WHEN mod(i, 101) = 3 THEN 'failed' WHEN mod(i, 211) = 3 THEN
    'cancelled' WHEN mod(i, 9973) = 3 THEN 'unknown' WHEN mod(i, 31) = 3 THEN 'sent' ELSE 'delivered' END"""
BUSY = 1
"""The id of a driver with thousands of conversations and failures."""
STRANGER = 2
"""The id of a machine that sends many texts without a conversation to one number."""
LONG = 777
"""The id of the conversation with many texts."""


@dataclass(frozen=True)
class Size:
    conversations: int = 200_000
    numbers: int = 1_000
    messages: int = 1_000_000
    long: int = 2_000
    """The texts of the longest conversation, and those of the machine."""

    @property
    def busy(self) -> int:
        """The conversations of the busiest person."""
        return self.conversations // 20


def write_messages(size: Size) -> None:
    """Write conversations with references order-1, order-2 ..., and their messages, half of them inbound."""
    write_conversations(size.conversations, size.numbers)
    texts = size.messages // 2
    participants = 2 * size.conversations
    people = RealNumber.objects.count()
    text = OutboundMessage._meta.get_field("text").get_db_prep_save("On my way, two minutes.", connection)
    of_number = "(SELECT proxy_number_id FROM conversations_participant AS p WHERE p.id = {})"
    is_long = f"i > {texts - size.long}"
    is_machine = f"i BETWEEN {texts - 2 * size.long + 1} AND {texts - size.long}"
    author, recipient = (
        f"CASE WHEN {is_long} THEN {2 * LONG} - mod({i}, 2) ELSE mod({other}, {participants}) + 1 END"
        for i, other in (("i", "i"), ("i + 1", "i + 1 - 2 * mod(i, 2)"))
    )
    outcome = f"CASE WHEN {is_machine} THEN 'no_route' WHEN {is_long} THEN 'relayed' ELSE {_OUTCOME} END"
    first_number = "(SELECT min(id) FROM numbers_virtualnumber)"
    is_to_busy = f"mod(i, 61) = 3 AND i < {texts} / 2"
    at = "now() - interval '30 days' + i * interval '30 days' / {}"
    with transaction.atomic(), without_indexes(InboundMessage, OutboundMessage, OutboundPart, DeliveryReceipt):
        _run("SET LOCAL synchronous_commit = off")
        insert(
            InboundMessage,
            texts,
            carrier_message_id="'in-' || i",
            outcome=outcome,
            participant_id=f"CASE WHEN {outcome} IN ('no_route', 'undecodable') THEN NULL ELSE {author} END",
            sender_id=f"CASE WHEN {is_machine} THEN {STRANGER} ELSE mod({author} - 1, {people}) + 1 END",
            virtual_number_id=f"CASE WHEN {is_machine} THEN {first_number} ELSE {of_number.format(author)} END",
            text=f"'{text}'",
            received_at=at.format(texts),
        )
        insert(
            OutboundMessage,
            texts,
            client_ref="md5('ref' || i)",
            kind="CASE WHEN mod(i, 10) = 0 THEN 'confirmation' ELSE 'relay' END",
            state=_STATE,
            error_code=f"CASE WHEN {_STATE} IN ('undelivered', 'failed') THEN '6' ELSE '' END",
            inbound_id="CASE WHEN mod(i, 10) = 0 THEN NULL ELSE i END",
            dedup_key="NULL",
            participant_id=recipient,
            conversation_id=f"({recipient} + 1) / 2",
            sender_id=of_number.format(recipient),
            recipient_id=f"CASE WHEN {is_to_busy} THEN {BUSY} ELSE mod({recipient} - 1, {people}) + 1 END",
            text=f"'{text}'",
            segments="1",
            attempts="1",
            created_at=at.format(texts),
        )
        insert(OutboundPart, texts, message_id="i", carrier_message_id="'part-' || i", status="'delivered'")
        insert(
            DeliveryReceipt,
            texts,
            message_id="CASE WHEN mod(i, 5003) = 1 THEN NULL ELSE i END",
            carrier_message_id="'part-' || i",
            status="'delivered'",
            received_at=at.format(texts),
        )
    events = {"old_state": "'queued'", "new_state": "'sending'", "reason": "'claimed'"}
    with transaction.atomic(), without_indexes(MessageEvent, ConversationEvent, FeedEvent, LimitUsage):
        insert(MessageEvent, 3 * texts, message_id="(i + 2) / 3", **events)
        insert(ConversationEvent, size.conversations, conversation_id="i", **events | {"new_state": "'open'"})
        insert(FeedEvent, size.messages, type="'message.delivered'", service_id="1", conversation_id="(i + 4) / 5")
        insert(LimitUsage, people, scope="'person'", subject_id="i", long_ready_at="extract(epoch FROM now()) + i")
    _finish(size)


def _finish(size: Size) -> None:
    """Close most conversations, name them, and give a driver many of them."""
    _run("UPDATE conversations_conversation SET reference = 'order-' || id, "
         f"created_at = now() - interval '30 days' + id * interval '30 days' / {size.conversations}, "
         "state = CASE WHEN mod(id, 10) = 0 THEN 'open' ELSE 'closed' END")  # fmt: skip
    _run("UPDATE conversations_conversation SET held_at = now() WHERE mod(id, 20000) = 0")
    _run("UPDATE numbers_realnumber SET opted_out_at = now() WHERE mod(id, 211) = 0")
    now = Participant.objects.values_list("created_at", flat=True)[0]
    number = Participant.objects.values_list("proxy_number_id", flat=True)[0]
    Participant.objects.bulk_create(
        [
            Participant(
                conversation_id=pk,
                position=2,
                real_number_id=BUSY,
                proxy_number_id=number,
                released_at=now,
                label="Busy",
            )
            for pk in range(1000, 1000 + size.busy)
        ],
        batch_size=5000,
    )
    busy = RealNumber.from_number(person(BUSY))
    RealNumber.objects.filter(pk=BUSY).update(number_hash=busy.number_hash, number=busy.number)
    _run("VACUUM ANALYZE")


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

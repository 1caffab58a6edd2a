"""The ordinary inbound text on PostgreSQL, in two statements: one that reads, one that writes if it is still so.

What inbound.py does for every text with the ORM, in a transaction of nine queries and more, this does for a text that
is simply relayed, which nearly all are, in a quarter of the time. (SQL is written by hand here, in bulk.py and in
claiming.py, and nowhere else.) A test compares the rows that both ways write, field by field.

No transaction is open between the two, so nothing is locked while Python decides. What `find` has read may have changed
by the time of `take_in`, but only in two ways that matter: the conversation has ended, or somebody in it was given
another number. `take_in` looks again, under the lock.
"""

from collections.abc import Iterable
from enum import Enum

from django.db import DEFAULT_DB_ALIAS, connection
from django.utils import timezone

from conversations.intake.gates import Arrival
from conversations.models import Conversation, Participant
from conversations.models.outbound import new_client_ref
from smsproxy.carriers.base import InboundText
from smsproxy.crypto import encrypt, keyed_hash
from smsproxy.database.prepared import execute

# Who wrote, their conversation, and a row for each of the others in it. No row: it is not the ordinary case.
_FIND = """
    SELECT
        author.id, author.position, author.label, author.real_number_id, author.proxy_number_id,
        conversation.id, conversation.state, conversation.expires_at, conversation.idle_ttl, conversation.idle_at,
        conversation.route_version, other.id, other.real_number_id, other.proxy_number_id
    FROM numbers_realnumber sender
    JOIN conversations_participant author ON author.real_number_id = sender.id AND author.released_at IS NULL
    JOIN numbers_virtualnumber proxy ON proxy.id = author.proxy_number_id AND proxy.number = %(recipient)s
    JOIN conversations_conversation conversation ON conversation.id = author.conversation_id
    JOIN conversations_participant other ON other.conversation_id = conversation.id
        AND other.real_number_id <> author.real_number_id AND other.replaced_by_id IS NULL
    WHERE sender.number_hash = %(sender_hash)s
    AND NOT EXISTS (
        SELECT FROM numbers_virtualnumber ours
        WHERE ours.number = %(sender)s AND (ours.is_rented OR ours.state = 'ordered')
    )
    ORDER BY other.position
"""

# Each step takes its rows from the one before, so nothing is written unless the conversation is live and the text new.
# And the ids of outbound messages are drawn only under the conversation's lock: what its texts queue becomes visible in
# the order of the ids, in which it is sent; and nothing is queued any more once `Conversation.close` has returned.
_RELAY = """
    WITH conversation AS (
        SELECT id FROM conversations_conversation
        WHERE id = %(conversation)s AND state = 'open' AND route_version = %(route_version)s
        AND (expires_at IS NULL OR expires_at > %(now)s) AND (idle_at IS NULL OR idle_at > %(now)s)
        FOR NO KEY UPDATE
    ), inbound AS (
        INSERT INTO conversations_inboundmessage (
            carrier_message_id, outcome, reason, sender_id, virtual_number_id, participant_id, text, raw,
            "group", part, parts, long_text_id, missing_parts, sent_at, received_at
        )
        SELECT
            %(carrier_message_id)s, 'relayed', '', %(sender)s, %(virtual_number)s, %(author)s, %(text)s, '',
            '', 1, 1, NULL, 0, %(sent_at)s::timestamptz, %(now)s
        FROM conversation
        ON CONFLICT (carrier_message_id) DO NOTHING
        RETURNING id
    ), relay AS (
        INSERT INTO conversations_outboundmessage (
            client_ref, kind, state, inbound_id, conversation_id, participant_id, sender_id, recipient_id,
            text, segments, part_count, once_key, attempts, failures, resends, due_at, lease_until, error_code,
            created_at
        )
        SELECT
            other.client_ref, 'relay', 'queued', inbound.id, %(conversation)s, other.id, other.sender, other.recipient,
            %(relayed_text)s, %(segments)s, NULL, NULL, 0, 0, 0, %(now)s, NULL, '', %(now)s
        FROM inbound, unnest(
            %(client_refs)s::text[], %(others)s::bigint[], %(senders)s::bigint[], %(recipients)s::bigint[]
        ) AS other (client_ref, id, sender, recipient)
        RETURNING id
    ), event AS (
        INSERT INTO conversations_messageevent (message_id, old_state, new_state, reason, actor, created_at)
        SELECT id, '', 'queued', 'queued as relay', '', %(now)s FROM relay
    ), awake AS (
        UPDATE conversations_conversation
        SET idle_at = %(now)s + idle_ttl * interval '1 second'
        FROM inbound
        WHERE conversations_conversation.id = %(conversation)s AND idle_ttl IS NOT NULL
    )
    SELECT (SELECT count(*) FROM conversation), (SELECT count(*) FROM inbound)
"""


class Taken(Enum):
    DONE = "done"
    SEEN_BEFORE = "seen before"
    """The carrier's id was taken in before, and nothing was written."""
    NOT_ANY_MORE = "not any more"
    """The conversation has ended since it was read, or has other numbers, and nothing was written."""


def serves() -> bool:
    return connection.vendor == "postgresql"


def find(text: InboundText) -> Arrival | None:
    """Who wrote to whom, as far as the gates and `take_in` need it. None: it is not the ordinary case."""
    if text.sender is None:
        return None
    rows = execute(
        _FIND, {"sender": text.sender, "sender_hash": keyed_hash(text.sender), "recipient": text.recipient}
    ).fetchall()
    if not rows:
        return None
    participant = Participant.from_db(
        connection.alias, ["id", "position", "label", "real_number_id", "proxy_number_id"], rows[0][:5]
    )
    participant.conversation = Conversation.from_db(
        connection.alias, ["id", "state", "expires_at", "idle_ttl", "idle_at", "route_version"], rows[0][5:11]
    )
    others = [
        Participant.from_db(DEFAULT_DB_ALIAS, ["id", "real_number_id", "proxy_number_id"], row[11:]) for row in rows
    ]
    return Arrival(text.text, participant=participant, others=others)


def take_in(text: InboundText, arrival: Arrival) -> Taken:
    """Record the text and queue it for the others. Committed when this returns."""
    author = arrival.participant
    if author is None:
        raise ValueError("nobody wrote it")
    token = encrypt(text.text)
    [(is_live, is_new)] = execute(
        _RELAY,
        {
            "now": timezone.now(),
            "conversation": author.conversation.pk,
            "route_version": author.conversation.route_version,
            "carrier_message_id": text.carrier_message_id,
            "sender": author.real_number_id,
            "virtual_number": author.proxy_number_id,
            "author": author.pk,
            "text": token,
            "sent_at": text.sent_at,
            "relayed_text": token if arrival.relayed_text == text.text else encrypt(arrival.relayed_text),
            "segments": arrival.segments,
            "client_refs": _array(new_client_ref() for _ in arrival.others),
            "others": _array(other.pk for other in arrival.others),
            "senders": _array(other.proxy_number_id for other in arrival.others),
            "recipients": _array(other.real_number_id for other in arrival.others),
        },
    )
    if not is_live:
        return Taken.NOT_ANY_MORE
    return Taken.DONE if is_new else Taken.SEEN_BEFORE


def _array(values: Iterable[object]) -> str:
    """As PostgreSQL writes an array of numbers or words. (The driver's way with lists takes as long as a statement.)"""
    return "{" + ",".join(map(str, values)) + "}"

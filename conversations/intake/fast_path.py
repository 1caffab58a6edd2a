"""The fast write of an inbound message on PostgreSQL: record it and queue its relays in one statement.

Nearly all messages are simply relayed. `receive` writes those here, in a quarter of the time that the ORM takes. A test
compares the rows that both ways write, field by field.

No lock is held while Python decides on what `read_arrival` returned. Three later changes matter: the conversation ends,
is put on hold, or gives somebody another number. The statement checks them again, under the conversation's lock. A
recipient may opt out as well: that is checked again when the message is claimed.
"""

from collections.abc import Iterable
from enum import Enum

from django.db import DataError

from conversations.delivery.steps import log_received, log_repeated
from conversations.intake.read_arrival import InboundContext
from conversations.models.limit_usage import add_to_usage
from conversations.models.outbound import new_client_ref
from conversations.trust.limits import message_charges
from conversations.trust.loop_breaker import MEMORY_WIDTH
from smsproxy.carriers.base import InboundText
from smsproxy.crypto import encrypt
from smsproxy.database import prepared

# Each step takes its rows from the one before: nothing is written unless the conversation is open and the message new.
# Ids of outbound messages are drawn under the conversation's lock. So messages become visible in the order of their
# ids, which is the order of sending. And nothing is queued once `Conversation.close` has returned.
#
# If a limit is used up, perhaps one of the two only, the last line divides by zero. That undoes everything, the charge
# of the other limit too. So does a repeat that another transaction stores at the same moment.
_RELAY = f"""
    WITH conversation AS (
        SELECT id FROM conversations_conversation
        WHERE id = %(conversation)s AND state = 'open' AND route_version = %(route_version)s AND held_at IS NULL
        AND (expires_at IS NULL OR expires_at > %(now)s) AND (idle_at IS NULL OR idle_at > %(now)s)
        FOR NO KEY UPDATE
    ), charged AS (
        INSERT INTO conversations_limitusage AS usage (scope, subject_id, short_ready_at, long_ready_at, recent)
        SELECT charge.scope, charge.subject_id, %(seconds)s + charge.short, %(seconds)s + charge.long, charge.entry
        FROM conversation, (VALUES
            ('conversation', %(conversation)s, %(conversation_short)s, %(conversation_long)s, %(entry)s),
            ('person', %(person)s, %(person_short)s, %(person_long)s, '')
        ) AS charge (scope, subject_id, short, long, entry)
        WHERE NOT EXISTS (
            SELECT 1 FROM conversations_inboundmessage WHERE carrier_message_id = %(carrier_message_id)s
        )
        {add_to_usage(f"recent = right(usage.recent || excluded.recent, {MEMORY_WIDTH})")}
        RETURNING 1
    ), inbound AS (
        INSERT INTO conversations_inboundmessage (
            carrier_message_id, outcome, reason, sender_id, virtual_number_id, participant_id, text, raw,
            concat_ref, part, parts, long_message_id, missing_parts, sent_at, received_at
        )
        SELECT
            %(carrier_message_id)s, 'relayed', '', %(sender)s, %(virtual_number)s, %(author)s, %(text)s, '',
            '', 1, 1, NULL, 0, %(sent_at)s::timestamptz, %(now)s
        FROM conversation
        WHERE (SELECT count(*) FROM charged) = 2
        ON CONFLICT (carrier_message_id) DO NOTHING
        RETURNING id
    ), relay AS (
        INSERT INTO conversations_outboundmessage (
            client_ref, kind, state, inbound_id, conversation_id, participant_id, sender_id, recipient_id,
            text, segments, part_count, dedup_key, attempts, failures, resends, due_at, lease_until, error_code,
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
    SELECT
        (SELECT count(*) FROM conversation),
        (SELECT id FROM inbound),
        (SELECT count(*) FROM inbound) = 0
        AND EXISTS (SELECT 1 FROM conversations_inboundmessage WHERE carrier_message_id = %(carrier_message_id)s),
        1 / CASE WHEN (SELECT count(*) FROM charged) = 2 * (SELECT count(*) FROM inbound) THEN 1 ELSE 0 END
"""  # noqa: S608 - constants only
# Without line breaks: the driver caches its own form of statements of up to 4096 characters.
_RELAY = " ".join(_RELAY.split())


class RelayResult(Enum):
    DONE = "done"
    DUPLICATE = "duplicate"
    """This carrier message id is stored already. Nothing was written."""
    CONFLICT = "conflict"
    """The conversation or its numbers changed after the read, or a limit is used up. Nothing was written."""


def is_available() -> bool:
    """Return whether the database has the fast write: only PostgreSQL."""
    return prepared.is_postgresql()


def write_relayed(text: InboundText, context: InboundContext) -> RelayResult:
    """Record the message and queue its relays, committed on return. The context must have an author.

    Call it outside any transaction: one that is open would end if a limit is used up.
    """
    author = context.author
    if author is None:
        raise ValueError("expected an author, found none")
    token = encrypt(text.text)
    client_refs = [new_client_ref() for _ in context.recipients]
    conversation = author.conversation
    for_conversation, for_person = message_charges(author.real_number_id, conversation.pk, conversation.service_id)
    of_conversation, of_person = for_conversation.seconds, for_person.seconds
    parameters = {
        "now": context.now,
        "seconds": context.now.timestamp(),
        "conversation_short": of_conversation[0],
        "conversation_long": of_conversation[1],
        "person": for_person.subject_id,
        "person_short": of_person[0],
        "person_long": of_person[1],
        "conversation": author.conversation.pk,
        "route_version": author.conversation.route_version,
        "carrier_message_id": text.carrier_message_id,
        "sender": author.real_number_id,
        "virtual_number": author.proxy_number_id,
        "author": author.pk,
        "text": token,
        "sent_at": text.sent_at,
        "relayed_text": token if context.relayed_text == text.text else encrypt(context.relayed_text),
        "segments": context.segments,
        "client_refs": _array(client_refs),
        "others": _array(other.pk for other in context.recipients),
        "senders": _array(other.proxy_number_id for other in context.recipients),
        "recipients": _array(other.real_number_id for other in context.recipients),
        "entry": str(context.entry),
    }
    try:
        [(is_live, inbound_id, is_repeated, _)] = prepared.execute(_RELAY, parameters)
    except DataError:
        return RelayResult.CONFLICT
    if is_live and inbound_id:
        log_received(
            inbound_id=inbound_id,
            outcome="relayed",
            carrier_message_id=text.carrier_message_id,
            conversation_id=author.conversation.pk,
            conversation=author.conversation,
            message_refs=client_refs,
        )
        return RelayResult.DONE
    if is_live and is_repeated:
        log_repeated(text.carrier_message_id)
        return RelayResult.DUPLICATE
    return RelayResult.CONFLICT


def _array(values: Iterable[object]) -> str:
    """Return a PostgreSQL array literal. (The driver's own list adaptation takes as long as a statement.)"""
    return "{" + ",".join(map(str, values)) + "}"

"""Claim messages on PostgreSQL in one prepared statement. claim.py does the same on SQLite, with three statements.

The list of ids is passed as JSON, since the driver's conversion of lists takes as long as a statement.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from conversations.delivery.claimed import SELECT_TAKEN, Claimed
from smsproxy.database.prepared import execute

_TAKE = f"""
    WITH taken AS (
        UPDATE conversations_outboundmessage
        SET state = 'sending', attempts = attempts + 1, lease_until = %(lease_until)s
        WHERE id IN (
            SELECT id FROM conversations_outboundmessage
            WHERE id IN (SELECT value::bigint FROM json_array_elements_text(%(pks)s::json)) AND state = 'queued'
            FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING id, client_ref, kind, state, attempts, failures, segments, created_at, lease_until,
            sender_id, recipient_id, participant_id, inbound_id, api_message_id, conversation_id, text
    ), event AS (
        INSERT INTO conversations_messageevent (message_id, old_state, new_state, reason, actor, created_at)
        SELECT id, 'queued', 'sending', 'attempt ' || attempts, '', %(now)s FROM taken
    )
    {SELECT_TAKEN}
"""  # noqa: S608 - constants only


def take(pks: Sequence[int], now: datetime, lease_until: datetime) -> list[Claimed]:
    """Mark the messages that are still queued as `sending`, and return them."""
    rows = execute(_TAKE, {"pks": json.dumps(pks), "now": now, "lease_until": lease_until})
    return [Claimed.from_row(row) for row in rows]

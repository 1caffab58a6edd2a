"""What the worker does in every turn on PostgreSQL: a few statements, written by hand for speed alone.

The ORM's way, beside each of them in claiming.py and results.py, does the same in three times the time; it serves
SQLite. All tests run on both. As in hotpath.py, the statements are prepared, and lists go as JSON: the driver's own way
with lists takes as long as a statement.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection
from django.utils import timezone

from conversations.models import AccountRateLimit, NumberRateLimit, OutboundMessage
from numbers.models import VirtualNumber
from smsproxy.database.prepared import execute

if TYPE_CHECKING:
    from conversations.delivery.results import Result

_ACCOUNT = ("id", "state", "ready_at", "pause_reason", "code", "paused_at", "failures", "probe", "last_number_id")

_LOCK_ACCOUNT = f"SELECT {', '.join(_ACCOUNT)} FROM conversations_accountratelimit FOR NO KEY UPDATE"  # noqa: S608

_SPEND = """
    UPDATE conversations_accountratelimit SET last_number_id = %(last_number_id)s, probe = %(probe)s, ready_at = %(ready_at)s
"""

_TAKE = """
    WITH taken AS (
        UPDATE conversations_outboundmessage
        SET state = 'sending', attempts = attempts + 1, lease_until = %(lease_until)s
        WHERE id IN (
            SELECT id FROM conversations_outboundmessage
            WHERE id IN (SELECT value::bigint FROM json_array_elements_text(%(pks)s::json)) AND state = 'queued'
            FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING id, client_ref, state, attempts, segments, created_at, lease_until,
            sender_id, recipient_id, participant_id, text
    ), event AS (
        INSERT INTO conversations_messageevent (message_id, old_state, new_state, reason, actor, created_at)
        SELECT id, 'queued', 'sending', 'attempt ' || attempts, '', %(now)s FROM taken
    )
    SELECT
        taken.id, taken.client_ref, taken.state, taken.sender_id, taken.recipient_id, taken.segments, taken.attempts,
        taken.lease_until, taken.created_at,
        sender.id, sender.number, sender.country, sender.rate, sender.state,
        pace.ready_at, pace.pause_reason,
        taken.text, recipient.number, participant.released_at
    FROM taken
    JOIN numbers_virtualnumber sender ON sender.id = taken.sender_id
    JOIN numbers_realnumber recipient ON recipient.id = taken.recipient_id
    LEFT JOIN conversations_participant participant ON participant.id = taken.participant_id
    LEFT JOIN conversations_numberratelimit pace ON pace.number_id = taken.sender_id
"""
# In the order of the models' fields, as `from_db` wants them.
_MESSAGE = (
    "id", "client_ref", "state", "sender_id", "recipient_id", "segments", "attempts", "lease_until", "created_at",
)  # fmt: skip
_SENDER = ("id", "number", "country", "rate", "state")

_PACE = """
    INSERT INTO conversations_numberratelimit (number_id, ready_at, pause_reason, failures, last_recipient_id)
    SELECT number_id, ready_at, '', 0, last_recipient_id
    FROM json_to_recordset(%(paces)s::json) AS pace (number_id bigint, ready_at timestamptz, last_recipient_id bigint)
    ON CONFLICT (number_id) DO UPDATE SET ready_at = excluded.ready_at, last_recipient_id = excluded.last_recipient_id
"""

_SENT = """
    WITH sent AS (
        UPDATE conversations_outboundmessage message
        SET state = 'sent', lease_until = NULL, error_code = '', part_count = answer.part_count
        FROM json_to_recordset(%(answers)s::json) AS answer (id bigint, attempts int, part_count int)
        WHERE message.id = answer.id AND message.state = 'sending' AND message.attempts = answer.attempts
        RETURNING message.id
    ), event AS (
        INSERT INTO conversations_messageevent (message_id, old_state, new_state, reason, actor, created_at)
        SELECT id, 'sending', 'sent', 'accepted', '', %(now)s FROM sent
    ), part AS (
        INSERT INTO conversations_outboundpart (message_id, attempt, carrier_message_id, status, error_code, price)
        SELECT part.message_id, part.attempt, part.carrier_message_id, 'unknown', '', part.price
        FROM json_to_recordset(%(parts)s::json)
            AS part (message_id bigint, attempt int, carrier_message_id text, price numeric)
        JOIN sent ON sent.id = part.message_id
    )
    SELECT count(*) FROM sent
"""


def lock_account() -> AccountRateLimit | None:
    """As `AccountRateLimit.load(lock=True)`. None: there is no row yet."""
    for row in execute(_LOCK_ACCOUNT, {}):
        return AccountRateLimit.from_db(connection.alias, _ACCOUNT, row)
    return None


def delete(account: AccountRateLimit) -> None:
    execute(_SPEND, {"last_number_id": account.last_number_id, "probe": account.probe, "ready_at": account.ready_at})


def take(pks: Sequence[int], now: datetime, lease_until: datetime) -> list[OutboundMessage]:
    """Those of these that are queued, now being sent, as `OutboundMessage.objects.sealed` reads them."""
    taken = []
    for row in execute(_TAKE, {"pks": json.dumps(pks), "now": now, "lease_until": lease_until}):
        message = OutboundMessage.from_db(connection.alias, _MESSAGE, row[: len(_MESSAGE)])
        rest = row[len(_MESSAGE) :]
        message.sender = VirtualNumber.from_db(connection.alias, _SENDER, rest[: len(_SENDER)])
        ready_at, why, message.sealed_text, message.sealed_number, message.released_at = rest[len(_SENDER) :]
        if ready_at:
            message.pace = NumberRateLimit(number=message.sender, ready_at=ready_at, pause_reason=why)
        taken.append(message)
    return taken


def write_paces(paces: Iterable[NumberRateLimit]) -> None:
    rows = [
        {"number_id": pace.pk, "ready_at": pace.ready_at.isoformat(), "last_recipient_id": pace.last_recipient_id}
        for pace in paces
    ]
    execute(_PACE, {"paces": json.dumps(rows)})


def mark_sent(results: "Sequence[Result]") -> int:
    """How many of these were being sent, and are now sent, with their parts and events?"""
    answers = [
        {"id": result.message.pk, "attempts": result.message.attempts, "part_count": len(result.parts)}
        for result in results
    ]
    parts = [
        {
            "message_id": result.message.pk,
            "attempt": result.message.attempts,
            "carrier_message_id": part.carrier_message_id,
            "price": None if part.price is None else str(part.price),
        }
        for result in results
        for part in result.parts
    ]
    parameters = {"answers": json.dumps(answers), "parts": json.dumps(parts), "now": timezone.now()}
    [(count,)] = execute(_SENT, parameters)
    return int(count)

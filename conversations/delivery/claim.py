"""Which messages may be sent now, and taking them for a worker.

A message may be sent when it is the first of its line (order), when its virtual number is ready (its rate, a wait), and
when the account is. The virtual numbers take turns, one message each, and so do the lines of each of them: neither a
busy number nor a person who is texted without end starves the others.

One worker claims at a time, over all machines: it holds the lock of the account's row, for some milliseconds. That
keeps the rates exact whatever the number of workers. Nothing here calls the carrier.

In SQL, because the ORM has no recursive queries. Each step of a walk is one look into a partial index that has only
what is not settled yet, so the cost grows neither with the messages of the past nor with how many wait in a line. What
is to be looked up row by row is written as a subquery of one value: of a join PostgreSQL may make one that reads whole
tables.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F
from django.utils import timezone

from conversations.delivery import postgres
from conversations.models import AccountRateLimit, MessageEvent, NumberRateLimit, OutboundMessage, OutboundState
from conversations.models.outbound import MAX_RESENDS
from conversations.models.pace import MAX_PLAUSIBLE_WAIT
from smsproxy.database import prepared
from smsproxy.states import StaleState

# From one virtual number that has queued messages to the next, by the index outbound_waiting.
_NUMBERS_IN_TURN_SQL = """
    SELECT min(sender_id) FROM conversations_outboundmessage WHERE state = 'queued' AND sender_id > %(after)s
    UNION ALL
    SELECT (
        SELECT min(sender_id) FROM conversations_outboundmessage
        WHERE state = 'queued' AND sender_id > turn.number_id
    )
    FROM turn WHERE turn.number_id IS NOT NULL
"""

# From one line of the number to the next, by the index outbound_line, to the first whose head may be sent. The head is
# the first of the messages that wait, are being sent, or have an outcome that is in doubt and may still be settled.
_FIRST_FREE_LINE = """(
    WITH RECURSIVE line (recipient_id) AS (
        SELECT min(recipient_id) FROM conversations_outboundmessage
        WHERE state IN ('queued', 'sending', 'unknown')
        AND sender_id = turn.number_id AND recipient_id > {behind}
        UNION ALL
        SELECT (
            SELECT min(recipient_id) FROM conversations_outboundmessage
            WHERE state IN ('queued', 'sending', 'unknown')
            AND sender_id = turn.number_id AND recipient_id > line.recipient_id
        )
        FROM line WHERE line.recipient_id IS NOT NULL
    ), head (id) AS MATERIALIZED (
        SELECT (
            SELECT CASE WHEN first.state = 'queued' AND first.due_at <= %(now)s THEN first.id END
            FROM conversations_outboundmessage first
            WHERE first.state IN ('queued', 'sending', 'unknown')
            AND first.sender_id = turn.number_id AND first.recipient_id = line.recipient_id
            AND (
                first.state <> 'unknown' OR first.due_at > %(now)s
                OR (first.created_at > %(resent_if_after)s AND first.resends < %(most_resends)s)
            )
            ORDER BY first.id LIMIT 1
        )
        FROM line WHERE line.recipient_id IS NOT NULL
    )
    SELECT id FROM head WHERE id IS NOT NULL LIMIT 1
)"""

_PACE = "(SELECT {column} FROM conversations_numberratelimit WHERE number_id = turn.number_id)"

# MATERIALIZED, or the subqueries would be made twice. The LIMIT ends the walk all the same.
_HEADS_OF = f"""
    WITH RECURSIVE turn (number_id) AS ({{turn}}), chosen (id) AS MATERIALIZED (
        SELECT coalesce(
            {_FIRST_FREE_LINE.format(behind=f"coalesce({_PACE.format(column='last_recipient_id')}, 0)")},
            {_FIRST_FREE_LINE.format(behind="0")}
        )
        FROM turn
        WHERE turn.number_id IS NOT NULL
        AND coalesce({_PACE.format(column="ready_at")}, %(now)s) NOT BETWEEN %(soon)s AND %(nonsense)s
    )
    SELECT id FROM chosen WHERE id IS NOT NULL LIMIT %(limit)s
"""  # noqa: S608 - constants only

_HEADS = _HEADS_OF.format(turn=_NUMBERS_IN_TURN_SQL)

_NEXT_READY_SQL = """
    SELECT min(ready_at) FROM conversations_numberratelimit pace
    WHERE ready_at BETWEEN %(soon)s AND %(nonsense)s AND pause_reason = ''
    AND (
        SELECT min(id) FROM conversations_outboundmessage
        WHERE state = 'queued' AND sender_id = pace.number_id
    ) IS NOT NULL
"""


class Claim(NamedTuple):
    """The messages that were taken. next_at: when one that waits only for a rate, or a pause, may be claimed."""

    messages: list[OutboundMessage]
    next_at: datetime | None


class ClaimOutcomeUnknown(Exception):
    """The database went away while messages were being taken: whether they are is unknown.

    lease_until: that of these messages, and of no others. `requeue_claim` gives them back.
    """

    def __init__(self, lease_until: datetime) -> None:
        super().__init__("the answer to a claim was lost")
        self.lease_until = lease_until


def claim(limit: int) -> Claim:
    """Take up to `limit` messages for this worker, sealed: `sending`, for SEND_LEASE_SECONDS seconds, committed on return.

    Raises ClaimOutcomeUnknown; DatabaseError or InterfaceError, if nothing was taken.
    """
    lease_until = None
    try:
        with transaction.atomic():
            account = (postgres.lock_account() if prepared.is_postgresql() else None) or AccountRateLimit.load(
                lock=True
            )
            now = timezone.now()  # After having waited for the lock.
            claimed = _claim_round_robin(account, min(limit, account.available_requests(now)), now)
            if claimed:
                lease_until = claimed[0].lease_until
                account.spend(claimed, now, write=postgres.delete if prepared.is_postgresql() else None)
            next_at = None
            if len(claimed) < limit:
                next_at = max(account.ready_at, now) if account.available_requests(now) == 0 else _next_ready_at(now)
    except (DatabaseError, InterfaceError) as error:
        if lease_until is None:
            raise
        raise ClaimOutcomeUnknown(lease_until) from error
    return Claim(claimed, next_at)


def requeue_claim(lease_until: datetime) -> int:
    """Queue the messages of a claim whose answer was lost: nobody has called the carrier for them. How many?"""
    taken = OutboundMessage.objects.filter(state=OutboundState.SENDING, lease_until=lease_until).defer("text")
    count = 0
    for message in taken:
        with suppress(StaleState):
            message.retry(after=0, reason="claim outcome unknown: not sent, requeued")
            count += 1
    return count


def _claim_round_robin(account: AccountRateLimit, allowed: int, now: datetime) -> list[OutboundMessage]:
    """One message of each number, from the one whose turn it is; then more of those whose rate allows it."""
    if not allowed:
        return []
    claimed = found = _take(_sendable_heads(now, allowed, after=account.last_number_id), now)
    if len(claimed) < allowed and account.last_number_id:
        found = found + _take(_sendable_heads(now, allowed - len(claimed), after=0), now)
        claimed = found
    while len(claimed) < allowed and found:
        ready = [message.sender_id for message in found if message.pace and message.pace.ready_at <= now]
        found = _take(_sendable_heads(now, allowed - len(claimed), of=dict.fromkeys(ready)), now) if ready else []
        claimed = claimed + found
    return claimed


def _next_ready_at(now: datetime) -> datetime | None:
    [soonest] = _rows(_NEXT_READY_SQL, _moments(now))[0]
    return _from_stored(soonest) if soonest else None


def _sendable_heads(now: datetime, limit: int, *, after: int = 0, of: Collection[int] = ()) -> list[int]:
    """The ids of messages that may be sent now, one of each virtual number behind `after`, or of these, at most."""
    # With the policy `hold`, one in doubt waits for staff after its time, and the line goes on. With `resend` it will
    # be queued again, in its old place, unless it is too old.
    oldest_resent = now - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)
    resent_if_after = oldest_resent if settings.UNKNOWN_OUTCOME_POLICY == "resend" else now
    parameters = _moments(now) | {
        "after": after,
        "limit": limit,
        "resent_if_after": _as_stored(resent_if_after),
        "most_resends": MAX_RESENDS,
    }
    statement = _HEADS
    if of:
        numbers = {f"number_{place}": number for place, number in enumerate(of)}
        statement = _HEADS_OF.format(turn=f"VALUES {', '.join(f'(%({name})s)' for name in numbers)}")
        parameters |= numbers
    return [pk for [pk] in _rows(statement, parameters)]


def _moments(now: datetime) -> dict[str, Any]:
    """soon: later than now. nonsense: see there."""
    return {
        "now": _as_stored(now),
        "soon": _as_stored(now + timedelta(microseconds=1)),
        "nonsense": _as_stored(now + MAX_PLAUSIBLE_WAIT),
    }


def _rows(statement: str, parameters: dict[str, Any]) -> list[Any]:
    if prepared.is_postgresql():
        return prepared.execute(statement, parameters).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _take(pks: Sequence[int], now: datetime) -> list[OutboundMessage]:
    """Mark these as being sent, except those that a receipt or a member of staff has changed in the meantime."""
    if not pks:
        return []
    lease_until = now + timedelta(seconds=settings.SEND_LEASE_SECONDS)
    taken = postgres.take(pks, now, lease_until) if prepared.is_postgresql() else _take_with_orm(pks, lease_until)
    messages = sorted(taken, key=lambda message: pks.index(message.pk))
    NumberRateLimit.objects.consume(messages, now, write=postgres.write_paces if prepared.is_postgresql() else None)
    return messages


def _take_with_orm(pks: Sequence[int], lease_until: datetime) -> list[OutboundMessage]:
    messages = list(OutboundMessage.objects.filter(pk__in=pks, state=OutboundState.QUEUED).with_ciphertext())
    OutboundMessage.objects.filter(pk__in=[message.pk for message in messages]).update(
        state=OutboundState.SENDING, attempts=F("attempts") + 1, lease_until=lease_until
    )
    paces = NumberRateLimit.objects.in_bulk([message.sender_id for message in messages])
    for message in messages:
        message.pace = paces.get(message.sender_id)
        message.state, message.lease_until = OutboundState.SENDING, lease_until
        message.attempts += 1
    MessageEvent.objects.bulk_create(
        MessageEvent(
            message=message,
            old_state=OutboundState.QUEUED,
            new_state=OutboundState.SENDING,
            reason=f"attempt {message.attempts}",
        )
        for message in messages
    )
    return messages


def _as_stored(at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


def _from_stored(value: Any) -> datetime:
    """SQLite gives a raw query the text that it stores."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)

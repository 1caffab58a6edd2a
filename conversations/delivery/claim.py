"""Choose the messages that may be sent now, and claim them for one worker.

A claim is committed as `sending`, with a lease, before relay.py calls the carrier. So no other worker sends it.

A message may be sent if it is the first of its line, and if the rate limits of its virtual number and of the account
allow it. The virtual numbers take turns, one message each, and so do the lines of each number. A busy number or a
person with a long backlog therefore starves nobody.

The daily budget is counted here, by an estimate, so that messages in flight cannot exceed it. results.py corrects it by
the prices that the carrier returns.

One worker claims at a time, over all machines: it holds the lock of the account's row for some milliseconds. This keeps
the rates exact for any number of workers. Nothing here calls the carrier.

The statements are SQL because the ORM has no recursive queries. Each step of a walk is one look-up in a partial index
that holds only unsettled messages. The cost grows neither with past messages nor with the length of a line. Per-row
look-ups are scalar subqueries: PostgreSQL may turn a join into one that reads whole tables.
"""

import json
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F

from conversations.delivery import postgres
from conversations.delivery.claimed import SELECT_TAKEN, Claimed
from conversations.delivery.low_water import LowWater
from conversations.models import AccountRateLimit, MessageEvent, NumberRateLimit, OutboundMessage, OutboundState
from conversations.models.gcra import MAX_PLAUSIBLE_WAIT
from conversations.models.outbound import MAX_RESENDS
from conversations.models.pace import estimated_price
from smsproxy.database import prepared
from smsproxy.database.clock import as_stored, database_now, from_stored
from smsproxy.database.rows import instance
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

_low_water = LowWater()

# Walk from one virtual number with queued messages to the next, by the index outbound_waiting. low: see low_water.py.
_NUMBERS_IN_TURN_SQL = """
    SELECT min(sender_id) FROM conversations_outboundmessage
    WHERE state = 'queued' AND sender_id > %(after)s AND id >= %(low)s
    UNION ALL
    SELECT (
        SELECT min(sender_id) FROM conversations_outboundmessage
        WHERE state = 'queued' AND sender_id > turn.number_id AND id >= %(low)s
    )
    FROM turn WHERE turn.number_id IS NOT NULL
"""

# Walk from one line of the number to the next, by the index outbound_line, to the first whose head may be sent. The
# head is the first message that is queued, being sent, or of an unknown outcome that may still be settled.
_FIRST_FREE_LINE = """(
    WITH RECURSIVE line (recipient_id) AS (
        SELECT min(recipient_id) FROM conversations_outboundmessage
        WHERE state IN ('queued', 'sending', 'unknown')
        AND sender_id = turn.number_id AND recipient_id > {behind} AND id >= %(low)s
        UNION ALL
        SELECT (
            SELECT min(recipient_id) FROM conversations_outboundmessage
            WHERE state IN ('queued', 'sending', 'unknown')
            AND sender_id = turn.number_id AND recipient_id > line.recipient_id AND id >= %(low)s
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

# MATERIALIZED keeps PostgreSQL from running the subqueries twice. The LIMIT still ends the walk early.
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
    SELECT id, (SELECT segments FROM conversations_outboundmessage message WHERE message.id = chosen.id)
    FROM chosen WHERE id IS NOT NULL LIMIT %(limit)s
"""  # noqa: S608 - constants only

_HEADS = _HEADS_OF.format(turn=_NUMBERS_IN_TURN_SQL)

_NEXT_READY_SQL = """
    SELECT min(ready_at) FROM conversations_numberratelimit pace
    WHERE ready_at BETWEEN %(soon)s AND %(nonsense)s AND pause_reason = ''
    AND (
        SELECT min(id) FROM conversations_outboundmessage
        WHERE state = 'queued' AND sender_id = pace.number_id AND id >= %(low)s
    ) IS NOT NULL
"""

_HAS_QUEUED_SQL = "SELECT EXISTS (SELECT 1 FROM conversations_outboundmessage WHERE state = 'queued')"

# These run once a turn. With the ORM all three cost 0.3 ms more CPU per message, at 5 messages a turn.
_ACCOUNT_FIELDS = (
    "id",
    "state",
    "ready_at",
    "pause_reason",
    "code",
    "paused_at",
    "failures",
    "probe",
    "last_number_id",
    "spend_day",
    "spent",
    "budget_granted",
    "exhausted_budget",
)
_ACCOUNT = f"SELECT {', '.join(_ACCOUNT_FIELDS)} FROM conversations_accountratelimit"  # noqa: S608 - constants only
# The clock is read after the wait for the lock.
_LOCK_ACCOUNT = "WITH account AS MATERIALIZED ({account}) SELECT clock_timestamp(), account.* FROM account"
_SPEND = """
    UPDATE conversations_accountratelimit
    SET last_number_id = %(last_number_id)s, probe = %(probe)s, ready_at = %(ready_at)s, spend_day = %(spend_day)s,
    spent = %(spent)s, budget_granted = %(budget_granted)s, exhausted_budget = %(exhausted_budget)s
    RETURNING id
"""
_PACES = """
    INSERT INTO conversations_numberratelimit (number_id, ready_at, last_recipient_id, pause_reason, failures)
    SELECT column1, column2, column3, '', 0 FROM (VALUES {values}) AS pace WHERE true
    ON CONFLICT (number_id) DO UPDATE SET ready_at = excluded.ready_at, last_recipient_id = excluded.last_recipient_id
    RETURNING number_id
"""

_TAKEN_ON_SQLITE = f"""
    WITH taken AS (SELECT * FROM conversations_outboundmessage WHERE id IN (SELECT value FROM json_each(%(pks)s)))
    {SELECT_TAKEN}
"""  # noqa: S608 - constants only


class Claim(NamedTuple):
    """The claimed messages. wait: seconds until a message may be claimed that waits only for a rate or a pause."""

    messages: list[Claimed]
    wait: float | None


class Head(NamedTuple):
    """The first message of a line, which may be sent now."""

    pk: int
    segments: int


class ClaimOutcomeUnknown(Exception):
    """The connection was lost during the commit of a claim: whether it took effect is unknown.

    lease_until: the lease of these messages and of no others. `requeue_claim` requeues them.
    """

    def __init__(self, lease_until: datetime) -> None:
        super().__init__("the answer to a claim was lost")
        self.lease_until = lease_until


def has_queued() -> bool:
    """Return whether a message is queued, due or not."""
    [[found]] = prepared.fetch_all(_HAS_QUEUED_SQL, {})
    return bool(found)


def claim(limit: int) -> Claim:
    """Claim up to `limit` messages: mark them `sending`, with a lease of SEND_LEASE_SECONDS, and commit.

    Raises ClaimOutcomeUnknown if the outcome is unknown, DatabaseError or InterfaceError if nothing was claimed.
    """
    lease_until = None
    try:
        _low_water.refresh()
        with transaction.atomic():
            account, now = _lock_account()
            _begin_day(account, now)
            if account.is_over_budget():
                return Claim([], None)
            claimed = _claim_round_robin(account, min(limit, account.available_requests(now)), now)
            if claimed:
                lease_until = claimed[0].message.lease_until
                _spend(account, claimed, now)
            elif account.is_over_budget():
                _save(account)
            next_at = None
            if len(claimed) < limit and not account.is_over_budget():
                next_at = max(account.ready_at, now) if account.available_requests(now) == 0 else _next_ready_at(now)
    except (DatabaseError, InterfaceError) as error:
        if lease_until is None:
            raise
        raise ClaimOutcomeUnknown(lease_until) from error
    if account.is_over_budget():
        log.error(
            "the daily budget of EUR %.2f is reached: nothing is sent until midnight UTC, or until staff grant more",
            account.budget,
        )
    return Claim(claimed, (next_at - now).total_seconds() if next_at else None)


def requeue_claim(lease_until: datetime) -> int:
    """Requeue the messages of a lost claim, for which the carrier was not called. Return how many there were."""
    taken = OutboundMessage.objects.filter(state=OutboundState.SENDING, lease_until=lease_until).defer("text")
    count = segments = 0
    with transaction.atomic():
        for message in taken:
            with suppress(StaleState):
                message.retry(after=0, reason="claim outcome unknown: not sent, requeued")
                count += 1
                segments += message.segments
        claimed_at = lease_until - timedelta(seconds=settings.SEND_LEASE_SECONDS)
        AccountRateLimit.correct_spent(-estimated_price(segments), claimed_at.date())
    return count


def _lock_account() -> tuple[AccountRateLimit, datetime]:
    """Return the account's row, locked, and the database's time after the wait for the lock."""
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_update else ""
    for now, *row in prepared.fetch_all(_LOCK_ACCOUNT.format(account=_ACCOUNT + lock), {}):
        return instance(AccountRateLimit, _ACCOUNT_FIELDS, row), from_stored(now)
    return AccountRateLimit.load(lock=True), database_now()


def _spend(account: AccountRateLimit, claimed: Sequence[Claimed], now: datetime) -> None:
    first, last = claimed[0].message, claimed[-1].message
    claimed[0].is_probe = account.spend(len(claimed), now, carrier_ref=first.carrier_ref, number_id=last.sender_id)
    _save(account)


def _save(account: AccountRateLimit) -> None:
    changes = {
        "last_number_id": account.last_number_id,
        "probe": account.probe,
        "ready_at": as_stored(account.ready_at),
        "spend_day": connection.ops.adapt_datefield_value(account.spend_day),
        "spent": account.spent,
        "budget_granted": account.budget_granted,
        "exhausted_budget": account.exhausted_budget,
    }
    prepared.fetch_all(_SPEND, changes)


def _begin_day(account: AccountRateLimit, now: datetime) -> None:
    was_over_budget = account.is_over_budget()
    if account.end_day(now):
        _save(account)
        if was_over_budget:
            account.record_budget("a new UTC day began: sending goes on")


def _claim_round_robin(account: AccountRateLimit, allowed: int, now: datetime) -> list[Claimed]:
    """Claim one message of each number, from the number whose turn it is. Then go round again while rates allow."""
    if not allowed:
        return []
    claimed = found = _take(account, _sendable_heads(now, allowed, after=account.last_number_id), now)
    if len(claimed) < allowed and account.last_number_id and not account.is_over_budget():
        found = found + _take(account, _sendable_heads(now, allowed - len(claimed), after=0), now)
        claimed = found
    while len(claimed) < allowed and found and not account.is_over_budget():
        ready = [each.pace.pk for each in found if each.pace.ready_at <= now]
        found = (
            _take(account, _sendable_heads(now, allowed - len(claimed), of=dict.fromkeys(ready)), now) if ready else []
        )
        claimed = claimed + found
    return claimed


def _next_ready_at(now: datetime) -> datetime | None:
    [soonest] = prepared.fetch_all(_NEXT_READY_SQL, _bounds(now))[0]
    return from_stored(soonest) if soonest else None


def _sendable_heads(now: datetime, limit: int, *, after: int = 0, of: Collection[int] = ()) -> list[Head]:
    """Return the messages that may be sent now, at most one per virtual number.

    after: only numbers with a higher id. of: only these numbers.
    """
    # With the policy `hold`, an unknown outcome is left to staff after its time, and the line goes on. With `resend` it
    # is requeued in its old place, unless it is too old.
    oldest_resent = now - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)
    resent_if_after = oldest_resent if settings.UNKNOWN_OUTCOME_POLICY == "resend" else now
    parameters = _bounds(now) | {
        "after": after,
        "limit": limit,
        "resent_if_after": as_stored(resent_if_after),
        "most_resends": MAX_RESENDS,
    }
    statement = _HEADS
    if of:
        numbers = {f"number_{place}": number for place, number in enumerate(of)}
        statement = _HEADS_OF.format(turn=f"VALUES {', '.join(f'(%({name})s)' for name in numbers)}")
        parameters |= numbers
    began = time.monotonic()
    heads = [Head(*row) for row in prepared.fetch_all(statement, parameters)]
    _low_water.note_walk(time.monotonic() - began)
    return heads


def _bounds(now: datetime) -> dict[str, Any]:
    """Return what the statements compare with, as the database stores it. soon: just after now. low: an id."""
    return {
        "now": as_stored(now),
        "soon": as_stored(now + timedelta(microseconds=1)),
        "nonsense": as_stored(now + MAX_PLAUSIBLE_WAIT),
        "low": _low_water.value,
    }


def _take(account: AccountRateLimit, heads: Sequence[Head], now: datetime) -> list[Claimed]:
    """Claim these messages, except those that a receipt or a member of staff has just changed, within the budget."""
    pks = [head.pk for head in _within_budget(account, heads)]
    if not pks:
        return []
    lease_until = now + timedelta(seconds=settings.SEND_LEASE_SECONDS)
    taken = postgres.take(pks, now, lease_until) if prepared.is_postgresql() else _take_on_sqlite(pks, lease_until)
    claimed = sorted(taken, key=lambda each: pks.index(each.message.pk))
    for each in claimed:
        each.is_probe_of_number = each.pace.consume(each.message.segments, now, recipient_id=each.message.recipient_id)
    if claimed:
        account.spent += estimated_price(sum(each.message.segments for each in claimed))
        _store([each.pace for each in claimed])
    return claimed


def _within_budget(account: AccountRateLimit, heads: Sequence[Head]) -> Sequence[Head]:
    """Return the messages before the first one that the budget does not cover. That one stops all sending."""
    if account.affords(sum(head.segments for head in heads)):
        return heads
    covered = [
        head for place, head in enumerate(heads) if account.affords(sum(each.segments for each in heads[: place + 1]))
    ]
    account.exhaust_budget()
    return covered


def _store(paces: Sequence[NumberRateLimit]) -> None:
    rows = ((pace.pk, as_stored(pace.ready_at), pace.last_recipient_id) for pace in paces)
    values, parameters = prepared.values(rows)
    prepared.fetch_all(_PACES.format(values=values), parameters)


def _take_on_sqlite(pks: Sequence[int], lease_until: datetime) -> list[Claimed]:
    queued = OutboundMessage.objects.filter(pk__in=pks, state=OutboundState.QUEUED)
    taken = list(queued.values_list("pk", flat=True))
    OutboundMessage.objects.filter(pk__in=taken).update(
        state=OutboundState.SENDING, attempts=F("attempts") + 1, lease_until=lease_until
    )
    claimed = [Claimed.from_row(row) for row in prepared.fetch_all(_TAKEN_ON_SQLITE, {"pks": json.dumps(taken)})]
    MessageEvent.objects.bulk_create(
        MessageEvent(
            message=each.message,
            old_state=OutboundState.QUEUED,
            new_state=OutboundState.SENDING,
            reason=f"attempt {each.message.attempts}",
        )
        for each in claimed
    )
    return claimed

"""Apply a carrier's answer to the message, to its virtual number and to the account, by this table.

| answer                      | the message                   | its number      | the account                     |
|-----------------------------|-------------------------------|-----------------|---------------------------------|
| accepted                    | sent                          |                 |                                 |
| PermanentFailure            | failed; its author is notified|                 |                                 |
| RecipientOptedOut           | the same, and the person is   |                 |                                 |
|                             | opted out                     |                 |                                 |
| the same, without a call    | cancelled                     |                 |                                 |
| TemporaryFailure: message   | queued, with backoff          |                 |                                 |
| TemporaryFailure: number    | queued                        | waits           |                                 |
| TemporaryFailure: account   | queued                        |                 | paused, then a probe            |
| SenderFault                 | queued                        | waits, no new   |                                 |
|                             |                               | conversations   |                                 |
| AccountFault                | queued                        |                 | paused, then a probe            |
| TemporaryFailure: worker    | queued; the worker waits      |                 |                                 |
| OutcomeUnknown              | unknown, not resent blindly;  |                 |                                 |
|                             | after several the worker waits|                 |                                 |

The codes of Vonage are in smsproxy/carriers/vonage/faults.py, the waits of a worker in circuit_breaker.py. A requeued
message keeps its place in its line, and fails once it is older than MESSAGE_MAX_AGE_SECONDS. A wait or a pause does
not count as a failed attempt.
"""

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db import IntegrityError, transaction

from conversations.delivery import undelivered_notice
from conversations.delivery.claimed import Claimed
from conversations.delivery.opt_out import opt_out_by_carrier
from conversations.delivery.receipts import update_part, update_state_from_parts
from conversations.delivery.result import Result
from conversations.models import (
    AccountRateLimit,
    FailureReason,
    MessageKind,
    NumberRateLimit,
    OutboundMessage,
    OutboundState,
    Participant,
)
from conversations.models.message_feed import data_of
from conversations.models.outbound_reasons import OPTED_OUT, TOO_OLD
from smsproxy.carriers.base import (
    AccountFault,
    CarrierError,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    ReceiptStatus,
    RecipientOptedOut,
    SenderFault,
    SendReply,
    TemporaryFailure,
)
from smsproxy.database import prepared
from smsproxy.database.clock import database_now
from smsproxy.events.record import json_type, record_selected
from smsproxy.metrics.counting import count, observe
from smsproxy.metrics.families import SENT, TO_CARRIER
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# Seconds.
MAX_BACKOFF = 300.0
NUMBER_WAIT = 1.0
SENDER_FAULT_WAIT = 300.0
ACCOUNT_WAIT = 1.0
ACCOUNT_FAULT_WAIT = 60.0
UNKNOWN_WAIT = 5.0

# Once a turn, on both databases. The ORM form costs 0.5 ms more CPU per message, at 5 messages a turn.
_SENT = """
    UPDATE conversations_outboundmessage SET state = 'sent', lease_until = NULL, error_code = '', part_count = column3
    FROM (VALUES {answers}) AS answer
    WHERE id = column1 AND state = 'sending' AND attempts = column2 AND sender_id = column4
    RETURNING id
"""
_PARTS = """
    INSERT INTO conversations_outboundpart (message_id, attempt, carrier_message_id, price, status, error_code)
    SELECT column1, column2, column3, CAST(column4 AS numeric), 'unknown', '' FROM (VALUES {parts}) AS part
    RETURNING id
"""
_EVENTS = """
    INSERT INTO conversations_messageevent (message_id, old_state, new_state, reason, actor, created_at)
    SELECT column1, 'sending', 'sent', 'accepted', '', statement_timestamp() FROM (VALUES {sent}) AS sent
    RETURNING id
"""
_FEED = """
    SELECT
        'message.sent', (SELECT service_id FROM conversations_conversation WHERE id = CAST(column2 AS bigint)),
        CAST(column2 AS bigint), CAST(column3 AS bigint), CAST(column1 AS bigint), CAST(column4 AS smallint),
        CAST(column5 AS {json})
    FROM (VALUES {sent}) AS sent
"""


def record_all(results: Sequence[Result]) -> bool:
    """Record these results. Return False, with nothing written, if they must be recorded one by one."""
    if all(result.is_fully_accepted for result in results) and _record_sent(results):
        _clear_waits(results)
        return True
    if len(results) > 1:
        return False
    record(results[0])
    return True


def _record_sent(results: Sequence[Result]) -> bool:
    """Record many accepted messages at once. Return False, with nothing written, if one needs `record`.

    Its lease may have expired, a receipt may have arrived first, or its number was replaced.
    """
    try:
        with transaction.atomic():
            count = _mark_sent(results)
            if count != len(results):
                raise StaleState("a message is no longer being sent")
            _correct_spent(results)
    except (StaleState, IntegrityError):
        return False
    _count_sent(results)
    return True


def _count_sent(results: Sequence[Result]) -> None:
    for kind, number in Counter(result.message.kind for result in results).items():
        count(SENT, number, kind=kind)
    for result in results:
        _observe_relayed(result)


def _observe_relayed(result: Result) -> None:
    if result.message.kind == MessageKind.RELAY:
        # A relay is as old as the inbound message.
        observe(TO_CARRIER, (result.claimed.database_now() - result.message.created_at).total_seconds())


def _mark_sent(results: Sequence[Result]) -> int:
    """Mark these as sent, with their parts and events. Return how many were still being sent.

    If that is not all of them, the caller rolls back.
    """
    answers, parameters = prepared.values(
        (result.message.pk, result.message.attempts, len(result.parts), result.message.sender_id) for result in results
    )
    count = len(prepared.fetch_all(_SENT.format(answers=answers), parameters))
    if count != len(results):
        return count
    parts, parameters = prepared.values(
        (
            result.message.pk,
            result.message.attempts,
            part.carrier_message_id,
            None if part.price is None else str(part.price),
        )
        for result in results
        for part in result.parts
    )
    prepared.fetch_all(_PARTS.format(parts=parts), parameters)
    sent, parameters = prepared.values([result.message.pk] for result in results)
    prepared.fetch_all(_EVENTS.format(sent=sent), parameters)
    _announce_sent([result for result in results if result.message.conversation_id is not None])
    return count


def _announce_sent(results: Sequence[Result]) -> None:
    """Write the events of the feed, with what the claim has read. Messages outside of conversations have none."""
    if not results:
        return
    sent, parameters = prepared.values(
        (
            result.message.pk,
            result.message.conversation_id,
            result.message.inbound_id,
            result.claimed.position,
            data_of(result.message.kind, result.message.api_message_id),
        )
        for result in results
    )
    record_selected(_FEED.format(sent=sent, json=json_type()), parameters)


def record(result: Result) -> None:
    """Record any result of a claimed message."""
    # Before the message is requeued, or it would be claimed again at once.
    _apply_backpressure(result)
    with transaction.atomic():
        undelivered_notice.lock_thread(result.message, may_opt_out=isinstance(result.answer, RecipientOptedOut))
        message = (
            OutboundMessage.objects.select_for_update(no_key=True, of=("self",)).defer("text").get(pk=result.message.pk)
        )
        is_current = message.attempts == result.message.attempts and message.state in (
            OutboundState.SENDING,
            OutboundState.UNKNOWN,
        )
        # A commit whose answer was lost is recorded again. The budget must not count it twice.
        is_counted = not is_current
        if isinstance(result.answer, SendReply):
            is_counted = message.parts.filter(attempt=result.message.attempts, price__isnull=False).exists()
            if message.attempts == result.message.attempts and message.sender_id != result.message.sender_id:
                _move_back(message, result.message.sender_id)
            _record_reply(message, result.message.attempts, result.answer)
        elif is_current:
            _record_failure(message, result.answer, is_ours=result.is_ours)
            # Perhaps it was sent, or will be sent again by a decision.
            is_counted = message.state == OutboundState.UNKNOWN
        if not is_counted:
            _correct_spent([result])
    if isinstance(result.answer, SendReply) and not is_counted:
        _observe_relayed(result)


def _correct_spent(results: Sequence[Result]) -> None:
    """Replace the estimates in the daily budget by what these messages cost. Nothing, if they were not sent."""
    corrections: defaultdict[date, Decimal] = defaultdict(Decimal)
    for result in results:
        corrections[result.claimed.claimed_at.date()] += result.correction
    for day, euros in sorted(corrections.items(), reverse=True):
        AccountRateLimit.correct_spent(euros, day)


def _record_reply(message: OutboundMessage, attempt: int, reply: SendReply) -> None:
    """Record that the message was sent first, then as much of the reply as can be stored."""
    if message.state == OutboundState.UNDELIVERED:
        # A receipt was faster. It stands, unless it was of an earlier attempt: the parts below tell.
        message.part_count = len(reply.parts)
        message.save(update_fields=["part_count"])
    elif OutboundState.SENT in message.ALLOWED[message.state]:
        message.transition(
            OutboundState.SENT, reason="accepted", lease_until=None, error_code="", part_count=len(reply.parts)
        )
    for index, part in enumerate(reply.parts):
        update_part(
            message,
            attempt,
            part.carrier_message_id or f"{message.client_ref}.{attempt}/{index}",
            ReceiptStatus.UNKNOWN if part.accepted else ReceiptStatus.UNDELIVERED,
            part.error_code,
            part.price,
        )
    update_state_from_parts(message)


def _move_back(message: OutboundMessage, number_id: int) -> None:
    """Store again that the message left from this number, which was replaced during the call."""
    same_person = Participant.objects.filter(conversation=message.conversation_id, real_number=message.recipient_id)
    message.participant = same_person.filter(proxy_number=number_id).order_by("-pk").first()
    message.sender_id = number_id
    message.save(update_fields=["participant", "sender"])


def _record_failure(message: OutboundMessage, error: CarrierError, *, is_ours: bool) -> None:
    match error:
        case RecipientOptedOut() if is_ours:
            message.cancel(reason=error.detail)
        case RecipientOptedOut():
            _fail(message, error, FailureReason.OPTED_OUT, said=f"{OPTED_OUT}: {error.detail}")
            opt_out_by_carrier(message, error.code)
        case PermanentFailure() if is_ours:
            is_expired = message.is_too_old(database_now())
            _fail(message, error, FailureReason.EXPIRED if is_expired else FailureReason.UNSENDABLE)
        case PermanentFailure():
            _fail(message, error, FailureReason.REFUSED)
        case TemporaryFailure(scope=FaultScope.MESSAGE):
            after = backoff(message.failures + 1) if error.retry_after is None else error.retry_after
            _queue_again(message, error, after, is_failure=True)
        case TemporaryFailure() | SenderFault() | AccountFault():
            _queue_again(message, error, 0)
        case _:
            if message.state == OutboundState.SENDING:
                message.mark_unknown(reason=error.detail)


def _queue_again(message: OutboundMessage, error: CarrierError, after: float, *, is_failure: bool = False) -> None:
    now = database_now()
    if message.state == OutboundState.UNKNOWN and message.due_at <= now:
        return  # This worker slept until the line had gone on. Staff or UNKNOWN_OUTCOME_POLICY decide.
    if message.is_too_old(now):
        _fail(message, error, FailureReason.EXPIRED, said=f"{TOO_OLD}; last: {error.detail}")
    else:
        message.retry(after=min(after, MAX_BACKOFF), reason=error.detail, code=error.code, is_failure=is_failure)


def _fail(message: OutboundMessage, error: CarrierError, failure: FailureReason, *, said: str = "") -> None:
    message.fail(reason=said or error.detail, code=error.code, failure=failure)
    undelivered_notice.notify_sender(message)


def _apply_backpressure(result: Result) -> None:
    """Start or end the waits of the number and of the account."""
    claimed, error = result.claimed, result.answer
    match error:
        case _ if result.is_ours:
            _release_probe(claimed)
        case TemporaryFailure(scope=FaultScope.WORKER):
            _release_probe(claimed)
        case TemporaryFailure(scope=FaultScope.NUMBER):
            _let_number_wait(claimed, error, error.retry_after or NUMBER_WAIT)
        case SenderFault():
            _quarantine_sender(claimed.message, error)
            _let_number_wait(claimed, error, SENDER_FAULT_WAIT)
        case TemporaryFailure(scope=FaultScope.ACCOUNT):
            pause(error, error.retry_after or ACCOUNT_WAIT, claimed.message)
        case AccountFault():
            pause(error, ACCOUNT_FAULT_WAIT, claimed.message)
        case OutcomeUnknown():
            if claimed.is_probe:
                pause(error, UNKNOWN_WAIT, claimed.message)
            if claimed.is_probe_of_number:
                NumberRateLimit.objects.release_probe(claimed.message.sender, claimed.number_ready_at)
        case _:
            _clear_waits([result])


def _release_probe(claimed: Claimed) -> None:
    """Let another message be the probe, if this one was: it was not sent."""
    if claimed.is_probe:
        AccountRateLimit.release_probe(claimed.message.carrier_ref)
    if claimed.is_probe_of_number:
        NumberRateLimit.objects.release_probe(claimed.message.sender, claimed.number_ready_at)


def _let_number_wait(claimed: Claimed, error: CarrierError, seconds: float) -> None:
    NumberRateLimit.objects.wait(claimed.message.sender, seconds, error.detail, is_probe=claimed.is_probe_of_number)
    _end_pause([claimed])  # The fault shows that the account itself works.


def _clear_waits(results: Sequence[Result]) -> None:
    """End the pause and the waits that these messages probed: neither the account nor the numbers are at fault."""
    messages = [result.claimed for result in results]
    _end_pause(messages)
    for claimed in messages:
        if claimed.is_probe_of_number:
            NumberRateLimit.objects.resume(claimed.message.sender, claimed.number_ready_at)


def _end_pause(messages: Sequence[Claimed]) -> None:
    if any(claimed.is_probe for claimed in messages):
        AccountRateLimit.resume("the carrier answers again")


def pause(error: CarrierError, seconds: float, message: OutboundMessage) -> None:
    """Pause all sending. seconds: the first wait. message: the one that failed."""
    if AccountRateLimit.pause(error.detail, seconds, code=error.code, carrier_ref=message.carrier_ref):
        log.error("all sending is paused: %s (code %s)", error.detail, error.code or "none")


def _quarantine_sender(message: OutboundMessage, error: CarrierError) -> None:
    # Log the id: our log filter would mask the number.
    log.error("the carrier refuses virtual number %s: %s (code %s)", message.sender_id, error.detail, error.code)
    try:
        message.sender.quarantine(reason=error.detail)
    except StaleState:
        return  # The number is already in quarantine, or no longer in service.


def backoff(attempts: int) -> float:
    """Return the seconds to wait after this many attempts: exponential, with jitter to spread the retries."""
    return random.uniform(0.5, min(MAX_BACKOFF, 2.0 ** min(attempts, 10)))  # noqa: S311

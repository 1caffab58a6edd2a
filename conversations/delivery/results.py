"""What an answer of the carrier does to a message, to its virtual number, and to the account: the table of failures.

| answer                      | the message                   | its number      | the account                     |
|-----------------------------|-------------------------------|-----------------|---------------------------------|
| accepted                    | sent                          |                 |                                 |
| Refused                     | failed; its sender is told    |                 |                                 |
| TemporaryFailure, of the message    | queued, backing off           |                 |                                 |
| TemporaryFailure, of the number     | queued                        | waits           |                                 |
| TemporaryFailure, of the account    | queued                        |                 | paused, then a probe            |
| SenderFault                 | queued                        | waits, no new   |                                 |
|                             |                               | conversations   |                                 |
| AccountFault                | queued                        |                 | paused, then a probe            |
| TemporaryFailure, of the worker     | queued; the worker waits      |                 |                                 |
| OutcomeUnknown              | unknown: never again blindly; |                 |                                 |
|                             | after several the worker waits|                 |                                 |

Which code of Vonage is what: smsproxy/carriers/vonage/faults.py. How a worker waits: circuit_breaker.py.
A message that is queued again keeps its place in its line; older than MESSAGE_MAX_AGE_SECONDS, it fails. What waits or is
paused uses nothing up.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from conversations.delivery import postgres, undelivered_notice
from conversations.delivery.receipts import update_part, update_state_from_parts
from conversations.models import (
    AccountRateLimit,
    MessageEvent,
    NumberRateLimit,
    OutboundMessage,
    OutboundPart,
    OutboundState,
)
from smsproxy.carriers.base import (
    AccountFault,
    CarrierError,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    ReceiptStatus,
    SenderFault,
    SendReply,
    SentPart,
    TemporaryFailure,
)
from smsproxy.database import prepared
from smsproxy.states import StaleState

log = logging.getLogger(__name__)

# Seconds.
MAX_BACKOFF = 300.0
NUMBER_WAIT = 1.0
SENDER_FAULT_WAIT = 300.0
ACCOUNT_WAIT = 1.0
ACCOUNT_FAULT_WAIT = 60.0
UNKNOWN_WAIT = 5.0


@dataclass(frozen=True)
class Result:
    """What the carrier said to one message: its reply, or how the call failed.

    is_ours: the carrier was not asked. We refused to send it, or could not.
    """

    message: OutboundMessage
    answer: SendReply | CarrierError
    is_ours: bool = False

    @property
    def parts(self) -> Sequence[SentPart]:
        return self.answer.parts if isinstance(self.answer, SendReply) else ()

    @property
    def is_fully_accepted(self) -> bool:
        """Every part was accepted: so it is with nearly all of them."""
        return bool(self.parts) and all(part.accepted for part in self.parts)


def record_all(results: Sequence[Result]) -> bool:
    """Write down what became of these claimed messages. False: they must be recorded one by one."""
    if all(result.is_fully_accepted for result in results) and _record_sent(results):
        _clear_waits(results)
        return True
    if len(results) > 1:
        return False
    record(results[0])
    return True


def _record_sent(results: Sequence[Result]) -> bool:
    """Many plain results at once. False: one is not so plain after all, and nothing was written.

    A lease may have expired, or a receipt been first. `record` looks at each by itself, and can do all of it.
    """
    try:
        with transaction.atomic():
            count = postgres.mark_sent(results) if prepared.is_postgresql() else _mark_sent_with_orm(results)
            if count != len(results):
                raise StaleState("a message is no longer being sent")
    except (StaleState, IntegrityError):
        return False
    return True


def _mark_sent_with_orm(results: Sequence[Result]) -> int:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for result in results:
        groups[result.message.attempts, len(result.parts)].append(result.message.pk)
    count = 0
    for (attempts, part_count), pks in groups.items():
        sending = OutboundMessage.objects.filter(pk__in=pks, state=OutboundState.SENDING, attempts=attempts)
        count += sending.update(state=OutboundState.SENT, lease_until=None, error_code="", part_count=part_count)
    OutboundPart.objects.bulk_create(
        OutboundPart(
            message=result.message,
            attempt=result.message.attempts,
            carrier_message_id=part.carrier_message_id,
            price=part.price,
        )
        for result in results
        for part in result.parts
    )
    MessageEvent.objects.bulk_create(
        MessageEvent(
            message=result.message, old_state=OutboundState.SENDING, new_state=OutboundState.SENT, reason="accepted"
        )
        for result in results
    )
    return count


def record(result: Result) -> None:
    """Write down what became of a claimed message, whatever it is."""
    # Before the message is queued again: else it would be claimed at once.
    _apply_backpressure(result)
    with transaction.atomic():
        message = (
            OutboundMessage.objects.select_for_update(no_key=True, of=("self",)).defer("text").get(pk=result.message.pk)
        )
        is_current = message.attempts == result.message.attempts and message.state in (
            OutboundState.SENDING,
            OutboundState.UNKNOWN,
        )
        if isinstance(result.answer, SendReply):
            _record_reply(message, result.message.attempts, result.answer)
        elif is_current:
            _record_failure(message, result.answer)


def _record_reply(message: OutboundMessage, attempt: int, reply: SendReply) -> None:
    """It was sent: that first of all, whatever else of the reply can be kept."""
    if OutboundState.SENT in message.ALLOWED[message.state]:
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


def _record_failure(message: OutboundMessage, error: CarrierError) -> None:
    match error:
        case PermanentFailure():
            _fail(message, error.detail, error.code)
        case TemporaryFailure(scope=FaultScope.MESSAGE):
            after = backoff(message.failures + 1) if error.retry_after is None else error.retry_after
            _queue_again(message, error, after, is_failure=True)
        case TemporaryFailure() | SenderFault() | AccountFault():
            _queue_again(message, error, 0)
        case _:
            if message.state == OutboundState.SENDING:
                message.mark_unknown(reason=error.detail)


def _queue_again(message: OutboundMessage, error: CarrierError, after: float, *, is_failure: bool = False) -> None:
    if message.state == OutboundState.UNKNOWN and message.due_at <= timezone.now():
        return  # We slept so long that its line has gone on. Staff or UNKNOWN_OUTCOME_POLICY decide, as for the others.
    if message.is_too_old(timezone.now()):
        _fail(message, f"older than MESSAGE_MAX_AGE_SECONDS; last: {error.detail}", error.code)
    else:
        message.retry(after=min(after, MAX_BACKOFF), reason=error.detail, code=error.code, is_failure=is_failure)


def _fail(message: OutboundMessage, reason: str, code: str) -> None:
    message.fail(reason=reason, code=code)
    undelivered_notice.notify_sender(message)


def _apply_backpressure(result: Result) -> None:
    """Let the number, or the account, wait if it is to; or end its waiting."""
    message, error = result.message, result.answer
    match error:
        case _ if result.is_ours:
            _release_probe(message)
        case TemporaryFailure(scope=FaultScope.WORKER):
            _release_probe(message)
        case TemporaryFailure(scope=FaultScope.NUMBER):
            _let_number_wait(message, error, error.retry_after or NUMBER_WAIT)
        case SenderFault():
            _quarantine_sender(message, error)
            _let_number_wait(message, error, SENDER_FAULT_WAIT)
        case TemporaryFailure(scope=FaultScope.ACCOUNT):
            pause(error, error.retry_after or ACCOUNT_WAIT, message)
        case AccountFault():
            pause(error, ACCOUNT_FAULT_WAIT, message)
        case OutcomeUnknown():
            if message.is_probe:
                pause(error, UNKNOWN_WAIT, message)
            if message.is_probe_of_number:
                NumberRateLimit.objects.release_probe(message)
        case _:
            _clear_waits([result])


def _release_probe(message: OutboundMessage) -> None:
    """It was not sent: if it was to be a probe, another is."""
    if message.is_probe:
        AccountRateLimit.release_probe(message.carrier_ref)
    if message.is_probe_of_number:
        NumberRateLimit.objects.release_probe(message)


def _let_number_wait(message: OutboundMessage, error: CarrierError, seconds: float) -> None:
    NumberRateLimit.objects.wait(message.sender, seconds, error.detail, is_probe=message.is_probe_of_number)
    _end_pause([message])  # With the account all is well, then.


def _clear_waits(results: Sequence[Result]) -> None:
    """The carrier took these, or refused them for what they are: neither the account nor their numbers are at fault."""
    messages = [result.message for result in results]
    _end_pause(messages)
    NumberRateLimit.objects.end_waits(message for message in messages if message.is_probe_of_number)


def _end_pause(messages: Sequence[OutboundMessage]) -> None:
    if any(message.is_probe for message in messages):
        AccountRateLimit.resume("the carrier answers again")


def pause(error: CarrierError, seconds: float, message: OutboundMessage) -> None:
    """Send nothing for so long. `message` is the one that failed."""
    if AccountRateLimit.pause(error.detail, seconds, code=error.code, carrier_ref=message.carrier_ref):
        log.error("all sending is paused: %s (code %s)", error.detail, error.code or "none")


def _quarantine_sender(message: OutboundMessage, error: CarrierError) -> None:
    # Its id: our own filter would mask the number.
    log.error("the carrier refuses virtual number %s: %s (code %s)", message.sender_id, error.detail, error.code)
    try:
        message.sender.quarantine(reason=error.detail)
    except StaleState:
        return  # It is already, or has been given up.


def backoff(attempts: int) -> float:
    """Seconds to wait after so many attempts: doubling, with full jitter, so that failures do not come back in step."""
    return random.uniform(0.5, min(MAX_BACKOFF, 2.0 ** min(attempts, 10)))  # noqa: S311

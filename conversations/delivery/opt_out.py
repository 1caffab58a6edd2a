"""Opt a person out of messages from all our numbers, and cancel what is queued for them.

A message that another transaction queues or requeues at the same moment is cancelled when it is claimed: see relay.py.
"""

from datetime import datetime

from django.db import transaction

from conversations.models import MessageEvent, OutboundMessage, OutboundState
from conversations.models.message_feed import announce
from conversations.models.outbound_reasons import OPTED_OUT
from numbers.models import PersonState, RealNumber
from smsproxy.states import StaleState

_BATCH = 500


def opt_out(person: RealNumber, *, reason: str, since: datetime | None = None) -> list[OutboundMessage]:
    """Opt the person out, and return the cancelled messages, without their texts, in the caller's transaction.

    since: the time of the person's wish; None: now. Raises StaleState if they have opted out already.
    """
    with transaction.atomic():
        person.opt_out(reason=reason, since=since)
        return _cancel_unsent(person)


def opt_out_by_carrier(message: OutboundMessage, code: str) -> None:
    """Opt out the recipient of a message that the carrier refused for this reason. code: the carrier's.

    A person who has opted in since the message was queued stays opted in: the refusal may be older than that.
    """
    person = RealNumber.objects.only("opted_out_at").get(pk=message.recipient_id)
    if person.events.filter(new_state=PersonState.RECEIVES, created_at__gt=message.created_at).exists():
        return
    try:
        opt_out(person, reason=f"the carrier refused a message: the recipient has opted out (code {code})")
    except StaleState:
        return  # They have opted out already.


def _cancel_unsent(person: RealNumber) -> list[OutboundMessage]:
    """Cancel the messages that may still be sent to this person, in batches. Return them without their texts.

    A message of unknown outcome is among them: it must not be resent, and its line goes on. A message that a worker or
    a receipt has locked is skipped, so that nobody waits for anybody.
    """
    cancelled: list[OutboundMessage] = []
    while True:
        unsent = OutboundMessage.objects.unsent_to(person).select_for_update(no_key=True, skip_locked=True)
        batch = list(unsent.defer("text").order_by("pk")[:_BATCH])
        if not batch:
            return cancelled
        OutboundMessage.objects.filter(pk__in=[message.pk for message in batch]).update(
            state=OutboundState.CANCELLED, lease_until=None
        )
        MessageEvent.objects.bulk_create(
            MessageEvent(message=message, old_state=message.state, new_state=OutboundState.CANCELLED, reason=OPTED_OUT)
            for message in batch
        )
        announce((message.pk for message in batch), OutboundState.CANCELLED)
        cancelled += batch

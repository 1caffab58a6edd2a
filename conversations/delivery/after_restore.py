"""Make a database that was restored from a backup safe to send from.

A message that was queued at the time of the backup was probably sent after it. The database does not know, so the
message becomes unknown: a receipt or a person settles it, and nothing resends it by itself.
"""

from contextlib import suppress
from dataclasses import dataclass

from django.db import transaction

from conversations.models import LongMessage, OutboundMessage, OutboundState
from conversations.models.outbound import MAX_RESENDS
from smsproxy.database.clock import database_now
from smsproxy.events.order import skip_ids
from smsproxy.states import StaleState

# More ids than events can have been written since the backup. A cursor of before would hide the new ones.
SKIPPED_EVENTS = 1_000_000
_REASON = "the database was restored: perhaps it was sent after the backup"


@dataclass(frozen=True, kw_only=True)
class Distrusted:
    """The messages that are unknown now, and the long messages that will not be relayed."""

    messages: int
    long_messages: int


def distrust_unsent() -> Distrusted:
    """Let nothing that was unsent at the time of the backup be sent by itself. No worker may run. Repeatable."""
    skip_ids(SKIPPED_EVENTS)
    resendable = OutboundMessage.objects.filter(state=OutboundState.UNKNOWN, resends__lt=MAX_RESENDS)
    for message in resendable.defer("text").order_by("pk"):
        _leave_to_staff(message)
    count = 0
    for message in OutboundMessage.objects.unfinished().defer("text").order_by("pk"):
        with suppress(StaleState):  # A receipt has just settled it.
            message.distrust(reason=_REASON)
            count += 1
    # Their texts were perhaps relayed when the missing parts came. The parts that are stored can be read in the admin.
    open_ones = LongMessage.objects.filter(closed_at__isnull=True)
    return Distrusted(messages=count, long_messages=open_ones.update(closed_at=database_now()))


def _leave_to_staff(message: OutboundMessage) -> None:
    """Keep UNKNOWN_OUTCOME_POLICY from resending a message that was unknown at the time of the backup already."""
    with transaction.atomic():
        unknown = OutboundMessage.objects.filter(pk=message.pk, state=OutboundState.UNKNOWN)
        if unknown.update(resends=MAX_RESENDS):
            message.record_event(message.state, reason=_REASON, old_state=message.state)

"""A message in the hands of the worker that claimed it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from conversations.models import NumberRateLimit, OutboundMessage
from conversations.models.gcra import LONG_AGO, advance
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import OutgoingText
from smsproxy.crypto import UnreadableValue, decrypt
from smsproxy.database.rows import instance
from smsproxy.unreadable import note_unreadable

# What `Claimed.from_row` reads of the rows of `taken`, a subset of the outbox with the same columns.
SELECT_TAKEN = """
    SELECT
        taken.id, taken.client_ref, taken.state, taken.sender_id, taken.recipient_id, taken.segments, taken.attempts,
        taken.failures, taken.lease_until, taken.created_at, taken.inbound_id, taken.conversation_id,
        taken.kind, taken.api_message_id,
        sender.id, sender.number, sender.country, sender.rate, sender.state,
        pace.number_id, pace.ready_at, pace.pause_reason, pace.waits_since, pace.failures, pace.last_recipient_id,
        taken.text, recipient.number, participant.released_at IS NOT NULL,
        participant.position,
        recipient.opted_out_at IS NOT NULL AND taken.kind <> 'keyword_answer',
        participant.removed_at >= taken.created_at AND taken.kind <> 'keyword_answer'
    FROM taken
    JOIN numbers_virtualnumber sender ON sender.id = taken.sender_id
    JOIN numbers_realnumber recipient ON recipient.id = taken.recipient_id
    LEFT JOIN conversations_participant participant ON participant.id = taken.participant_id
    LEFT JOIN conversations_numberratelimit pace ON pace.number_id = taken.sender_id
"""
_MESSAGE = (
    "id", "client_ref", "state", "sender_id", "recipient_id", "segments", "attempts", "failures", "lease_until",
    "created_at", "inbound_id", "conversation_id", "kind", "api_message_id",
)  # fmt: skip
_SENDER = ("id", "number", "country", "rate", "state")
_PACE = ("number_id", "ready_at", "pause_reason", "waits_since", "failures", "last_recipient_id")


@dataclass(eq=False)
class Claimed:
    """A claimed message, and what only its worker knows.

    pace: the rate limit of its virtual number.
    sealed_text, sealed_number: still encrypted, so that one unreadable message does not stop the others.
    is_released: its numbers may stand for other people since it was queued.
    is_opted_out: its recipient has opted out, and it is not an answer to a keyword of theirs.
    has_left: its recipient was removed from the conversation, or has another phone, since it was queued.
    position: its recipient's place in the conversation, if it is in one.
    is_probe: the one message that is sent to try whether a paused account works again.
    is_probe_of_number: the same, for a virtual number that waits.
    claimed_at_here: by this host's clock.
    """

    message: OutboundMessage
    pace: NumberRateLimit
    sealed_text: str
    sealed_number: str
    is_released: bool
    is_opted_out: bool
    has_left: bool
    position: int | None
    is_probe: bool = False
    is_probe_of_number: bool = False
    claimed_at_here: datetime = field(default_factory=lambda: timezone.now())

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Return the message in one row of SELECT_TAKEN."""
        of_sender, of_pace = len(_MESSAGE), len(_MESSAGE) + len(_SENDER)
        message = instance(OutboundMessage, _MESSAGE, row[:of_sender])
        message.sender = instance(VirtualNumber, _SENDER, row[of_sender:of_pace])
        *pace, sealed_text, sealed_number, is_released, position, is_opted_out, has_left = row[of_pace:]
        limit = NumberRateLimit() if pace[0] is None else instance(NumberRateLimit, _PACE, pace)
        limit.number = message.sender
        flags = (bool(is_released), bool(is_opted_out), bool(has_left))
        return cls(message, limit, sealed_text, sealed_number, *flags, position)

    @property
    def number_ready_at(self) -> datetime:
        """The moment when the rate of its virtual number allows the next message."""
        return advance(LONG_AGO, self.claimed_at, self.message.segments, self.message.sender.current_rate)

    def database_now(self) -> datetime:
        """Return the database's time without a query: that of the claim, and what has passed since then."""
        return self.claimed_at + (timezone.now() - self.claimed_at_here)

    @property
    def claimed_at(self) -> datetime:
        if self.message.lease_until is None:
            raise ValueError(f"{self.message} is not claimed: it has no lease")
        return self.message.lease_until - timedelta(seconds=settings.SEND_LEASE_SECONDS)

    @property
    def log_fields(self) -> dict[str, object]:
        message = self.message
        return {
            "inbound_id": message.inbound_id,
            "conversation_id": message.conversation_id,
            "message_ref": message.client_ref,
            "attempt": message.attempts,
        }

    def as_outgoing(self) -> OutgoingText:
        """Decrypt the message for the carrier. Raises UnreadableValue if none of our keys can."""
        return OutgoingText(
            sender=self.message.sender.number,
            recipient=_decrypt(self.sealed_number, RealNumber, self.message.recipient_id),
            text=_decrypt(self.sealed_text, OutboundMessage, self.message.pk),
            client_ref=self.message.carrier_ref,
        )


def _decrypt(token: str, model: type[models.Model], pk: int) -> str:
    try:
        return decrypt(token)
    except UnreadableValue:
        note_unreadable(model, pk)
        raise

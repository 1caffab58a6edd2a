"""A message in the hands of the worker that claimed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings

from conversations.models import NumberRateLimit, OutboundMessage
from conversations.models.gcra import LONG_AGO, advance
from numbers.models import VirtualNumber
from smsproxy.carriers.base import OutgoingText
from smsproxy.crypto import decrypt
from smsproxy.database.rows import instance

# What `Claimed.from_row` reads of the rows of `taken`, a subset of the outbox with the same columns.
SELECT_TAKEN = """
    SELECT
        taken.id, taken.client_ref, taken.state, taken.sender_id, taken.recipient_id, taken.segments, taken.attempts,
        taken.lease_until, taken.created_at,
        sender.id, sender.number, sender.country, sender.rate, sender.state,
        pace.number_id, pace.ready_at, pace.pause_reason, pace.waits_since, pace.failures, pace.last_recipient_id,
        taken.text, recipient.number, participant.released_at IS NOT NULL
    FROM taken
    JOIN numbers_virtualnumber sender ON sender.id = taken.sender_id
    JOIN numbers_realnumber recipient ON recipient.id = taken.recipient_id
    LEFT JOIN conversations_participant participant ON participant.id = taken.participant_id
    LEFT JOIN conversations_numberratelimit pace ON pace.number_id = taken.sender_id
"""
_MESSAGE = (
    "id", "client_ref", "state", "sender_id", "recipient_id", "segments", "attempts", "lease_until", "created_at",
)  # fmt: skip
_SENDER = ("id", "number", "country", "rate", "state")
_PACE = ("number_id", "ready_at", "pause_reason", "waits_since", "failures", "last_recipient_id")


@dataclass(eq=False)
class Claimed:
    """A claimed message, and what only its worker knows.

    pace: the rate limit of its virtual number.
    sealed_text, sealed_number: still encrypted, so that one unreadable message does not stop the others.
    is_released: its numbers may stand for other people since it was queued.
    is_probe: the one message that is sent to try whether a paused account works again.
    is_probe_of_number: the same, for a virtual number that waits.
    """

    message: OutboundMessage
    pace: NumberRateLimit
    sealed_text: str
    sealed_number: str
    is_released: bool
    is_probe: bool = False
    is_probe_of_number: bool = False

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Return the message in one row of SELECT_TAKEN."""
        of_sender, of_pace = len(_MESSAGE), len(_MESSAGE) + len(_SENDER)
        message = instance(OutboundMessage, _MESSAGE, row[:of_sender])
        message.sender = instance(VirtualNumber, _SENDER, row[of_sender:of_pace])
        *pace, sealed_text, sealed_number, is_released = row[of_pace:]
        limit = NumberRateLimit() if pace[0] is None else instance(NumberRateLimit, _PACE, pace)
        limit.number = message.sender
        return cls(message, limit, sealed_text, sealed_number, bool(is_released))

    @property
    def claimed_at(self) -> datetime:
        if self.message.lease_until is None:
            raise ValueError(f"{self.message} is not claimed: it has no lease")
        return self.message.lease_until - timedelta(seconds=settings.SEND_LEASE_SECONDS)

    @property
    def number_ready_at(self) -> datetime:
        """The moment when the rate of its virtual number allows the next message."""
        return advance(LONG_AGO, self.claimed_at, self.message.segments, self.message.sender.current_rate)

    def as_outgoing(self) -> OutgoingText:
        """Decrypt the message for the carrier. Raises ImproperlyConfigured if none of our keys can."""
        return OutgoingText(
            sender=self.message.sender.number,
            recipient=decrypt(self.sealed_number),
            text=decrypt(self.sealed_text),
            client_ref=self.message.carrier_ref,
        )

"""The outcome of one call to the carrier."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from conversations.delivery.claimed import Claimed
from conversations.models import OutboundMessage
from conversations.models.pace import estimated_price
from smsproxy.carriers.base import CarrierError, OutcomeUnknown, SendReply, SentPart


@dataclass(frozen=True)
class Result:
    """The carrier's answer to one claimed message: its reply, or how the call failed.

    is_ours: the carrier was not called, because we could not or would not send the message.
    """

    claimed: Claimed
    answer: SendReply | CarrierError
    is_ours: bool = False

    @property
    def message(self) -> OutboundMessage:
        return self.claimed.message

    @property
    def parts(self) -> Sequence[SentPart]:
        return self.answer.parts if isinstance(self.answer, SendReply) else ()

    @property
    def correction(self) -> Decimal:
        """What the claim counted too little for this message, in EUR. Negative: too much.

        Nothing if no price is known: the estimate stays.
        """
        if isinstance(self.answer, OutcomeUnknown):
            return Decimal(0)  # Perhaps it was sent.
        prices = [part.price for part in self.parts if part.accepted]
        if prices and all(price is None for price in prices):
            return Decimal(0)  # No stored price would show that this result has been counted.
        price = sum((estimated_price(1) if each is None else each for each in prices), Decimal(0))
        return price - estimated_price(self.message.segments)

    @property
    def is_fully_accepted(self) -> bool:
        """Return whether the carrier accepted every part, as it nearly always does."""
        return bool(self.parts) and all(part.accepted for part in self.parts)

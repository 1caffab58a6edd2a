"""The outcome of one call to the carrier."""

from collections.abc import Sequence
from dataclasses import dataclass

from conversations.delivery.claimed import Claimed
from conversations.models import OutboundMessage
from smsproxy.carriers.base import CarrierError, SendReply, SentPart


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
    def is_fully_accepted(self) -> bool:
        """Return whether the carrier accepted every part, as it nearly always does."""
        return bool(self.parts) and all(part.accepted for part in self.parts)

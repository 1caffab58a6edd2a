"""A request to create a conversation, and the errors that reject it."""

from dataclasses import dataclass, field
from typing import Any

from conversations.models import LateMessagePolicy
from conversations.models.limit_usage import Refusal
from numbers.assignment.choose import NumberDemand
from numbers.assignment.policy import AssignmentPolicy


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """The idempotency key of a request. A repeat has the same key and the same hash.

    key: chosen by the caller. hash: of the content of the request.
    """

    key: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class ParticipantSpec:
    """A requested participant.

    number: E.164. label: shown to the other participants. proxy_number: E.164 of the only virtual number that they
    may get; "" for the best one. side: the team with which they share it; "" for none. one_way: their own texts are
    not passed on.
    """

    number: str = field(repr=False)
    label: str = ""
    proxy_number: str = ""
    side: str = ""
    one_way: bool = False


@dataclass(frozen=True, kw_only=True)
class ConversationSpec:
    """The options of a new conversation.

    reference: the marketplace's own name for it. ttl: seconds until it ends by itself, or None for no limit.
    idle_ttl: seconds without a message after which it ends, or None for no limit. notify: send the confirmations.
    policy: how numbers are chosen. late_messages: the policy, or None for LATE_MESSAGE_POLICY.
    """

    reference: str = ""
    ttl: int | None = None
    idle_ttl: int | None = None
    notify: bool = True
    policy: AssignmentPolicy = field(default_factory=AssignmentPolicy)
    late_messages: LateMessagePolicy | None = None


class CannotCreate(Exception):
    """One participant makes the conversation impossible. Nothing was created. The detail contains no phone number.

    position: the participant's index in the request. code: a slug for programs. field: the field at fault.
    """

    def __init__(self, position: int, code: str, detail: str, *, field: str = "number") -> None:
        super().__init__(detail)
        self.position = position
        self.code = code
        self.detail = detail
        self.field = field


class OptedOut(CannotCreate):
    """This person texted STOP. Only their START, or staff, can end that."""

    def __init__(self, position: int) -> None:
        super().__init__(
            position,
            code="opted_out",
            detail="has opted out of messages with STOP. They can text START to any number of ours that they know",
        )


class IdempotencyKeyReused(Exception):
    """The caller reused an idempotency key for a different request."""


class ParticipantBlocked(CannotCreate):
    """Staff blocked this participant, a prefix of their number, or them and another participant towards each other."""

    def __init__(self, position: int, other: int | None = None) -> None:
        towards = "" if other is None else f" towards participant {other}"
        super().__init__(position, "blocked", f"is blocked{towards} by staff")


class RequestedNumberTaken(CannotCreate):
    """The requested virtual number serves another conversation of this participant, or is at its cap."""

    def __init__(self, position: int) -> None:
        super().__init__(
            position,
            "proxy_number_taken",
            "the requested virtual number serves another conversation of this participant, open or cooling down, or "
            "is at its cap of live participants. Name another number, or none",
            field="proxy_number",
        )


class NoNumberFree(CannotCreate):
    """Every virtual number that could serve this participant is in their other conversations, or at its cap."""

    def __init__(self, position: int, code: str, detail: str, *, country: str, need: NumberDemand) -> None:
        super().__init__(position, code, detail, field="")
        self.country = country
        self.need = need

    @property
    def figures(self) -> dict[str, Any]:
        """Return the counts of the shortage by name, for programs."""
        return {
            "participant": self.position,
            "country": self.country,
            "numbers_eligible": self.need.able,
            "numbers_in_use": self.need.in_use,
            "numbers_needed": self.need.needed,
            "next_release_at": self.need.next_release_at,
        }


class OverLimit(Exception):
    """A limit of the API key is used up. Nothing was created."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.scope.label)
        self.refusal = refusal


class ContentionError(Exception):
    """Every retry met a conflict with a concurrent request. Nothing was created. The caller may retry."""

"""A request to create a conversation, and the errors that reject it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from django.conf import settings

from conversations.models import Conversation, LateMessagePolicy
from conversations.models.limit_usage import Refusal
from numbers.assignment.choose import NumberDemand
from numbers.assignment.policy import AssignmentPolicy, policy_of
from numbers.models import Pool
from smsproxy.services.models import Service

NEVER = 0  # The ttl of a conversation that has no end, in a service whose conversations have one.


class OnExisting(StrEnum):
    """What to do if exactly these people already have an open conversation."""

    NEW = "new"
    """Create another one."""
    RETURN = "return"
    """Return the newest one as it is."""
    REJECT = "reject"
    """Reject the request."""


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

    reference: the marketplace's own name for it. unique_reference: no open one of its service may have it already.
    ttl: seconds until it ends by itself, or None for no limit. expires_at: its fixed end, in place of a ttl.
    idle_ttl: seconds without a message after which it ends, or None for no limit. notify: send the confirmations.
    policy: how numbers are chosen. late_messages: the policy, or None for LATE_MESSAGE_POLICY.
    language: of our texts, "" for the service's. texts: its own, by kind. metadata: JSON, returned as it is.
    stickiness, on_exhausted: as requested, "" for the default.
    """

    reference: str = ""
    unique_reference: bool = False
    ttl: int | None = None
    expires_at: datetime | None = None
    idle_ttl: int | None = None
    notify: bool = True
    policy: AssignmentPolicy = field(default_factory=AssignmentPolicy)
    late_messages: LateMessagePolicy | None = None
    language: str = ""
    texts: Mapping[str, str] | None = None
    metadata: str = ""
    on_existing: OnExisting = OnExisting.NEW
    stickiness: str = ""
    on_exhausted: str = ""

    @classmethod
    def of(
        cls,
        service: Service,
        *,
        pool: Pool | None,
        geography: str | None,
        stickiness: str | None,
        on_exhausted: str | None,
        ttl: int | None,
        expires_at: datetime | None,
        late_messages: str | None,
        **options: Any,
    ) -> Self:
        """Return the options of a request, completed by its service. Each None means the default of the service.

        ttl: NEVER for a conversation without an end.
        """
        if ttl is None and expires_at is None:
            ttl = service.ttl
        late_messages = late_messages or service.late_messages or settings.LATE_MESSAGE_POLICY
        return cls(
            policy=policy_in(service, pool=pool, geography=geography, stickiness=stickiness, on_exhausted=on_exhausted),
            stickiness=stickiness or "",
            on_exhausted=on_exhausted or "",
            ttl=None if ttl == NEVER else ttl,
            expires_at=expires_at,
            late_messages=LateMessagePolicy(late_messages),
            **options,
        )


def policy_in(
    service: Service, *, pool: Pool | None, geography: str | None, stickiness: str | None, on_exhausted: str | None
) -> AssignmentPolicy:
    """Return how numbers are chosen for a request. Each None means the default of the service, then of the settings."""
    return policy_of(
        pool or service.pool,
        geography=geography or service.geography or None,
        stickiness=stickiness,
        on_exhausted=on_exhausted,
    )


class Creation(NamedTuple):
    """What a request has led to. is_new: whether the conversation was created, or was there already.

    confirmed: the positions of the participants to whom a confirmation is queued.
    """

    conversation: Conversation
    is_new: bool
    confirmed: Collection[int] = ()


class CannotCreate(Exception):
    """One participant makes the conversation impossible. Nothing was created. The detail contains no phone number.

    position: the participant's index in the request. code: a slug for programs. field: the field at fault. advice: what
    the operator can do, a sentence without its full stop. The API's caller does not see it.
    """

    def __init__(self, position: int, code: str, detail: str, *, field: str = "number", advice: str = "") -> None:
        super().__init__(detail)
        self.position = position
        self.code = code
        self.detail = detail
        self.field = field
        self.advice = advice

    @property
    def for_operator(self) -> str:
        """Return the detail with the advice for the operator."""
        return f"{self.detail}. {self.advice}" if self.advice else self.detail


class OptedOut(CannotCreate):
    """This person texted STOP. Only their START, or staff, can end that."""

    def __init__(self, position: int) -> None:
        super().__init__(
            position,
            code="opted_out",
            detail="has opted out of messages with STOP. They can text START to any number of ours that they know",
        )


class AlreadyTalking(Exception):
    """Exactly these people have an open conversation, and the request said to reject it then."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(f"conversation {conversation.pk} has the same participants")
        self.conversation = conversation


class ReferenceTaken(Exception):
    """An open conversation of the service has this reference, and the request asked for a unique one."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(f"conversation {conversation.pk} has this reference")
        self.conversation = conversation


class ParticipantBlocked(CannotCreate):
    """This participant is blocked, or a prefix of their number, or they and another one towards each other."""

    def __init__(self, position: int, other: int | None = None) -> None:
        towards = "" if other is None else f" towards participant {other}"
        super().__init__(position, "blocked", f"is blocked{towards}")


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

    def __init__(
        self, position: int, code: str, detail: str, *, country: str, need: NumberDemand, advice: str = ""
    ) -> None:
        super().__init__(position, code, detail, field="", advice=advice)
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
    """A limit of the service is used up. Nothing was created."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.scope.label)
        self.refusal = refusal


class ContentionError(Exception):
    """Every retry met a conflict with a concurrent request. Nothing was created. The caller may retry."""

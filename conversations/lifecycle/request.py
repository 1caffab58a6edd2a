"""What is asked for when a conversation is to be created, and why it may be refused."""

from dataclasses import dataclass, field
from typing import Any

from conversations.models import LateTexts
from numbers.assignment.choose import Need
from numbers.assignment.policy import Policy


@dataclass(frozen=True, kw_only=True)
class RequestId:
    """What makes two requests of one caller the same one. key: the caller's name of it; hash: of what it asks for."""

    key: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who shall take part.

    number: E.164. label: what the others see. proxy_number: E.164 of the virtual number that they shall have, and no
    other; "": the best.
    """

    number: str
    label: str = ""
    proxy_number: str = ""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a conversation is to be like.

    reference: the marketplace's own name of it. ttl: seconds until it ends by itself. idle_ttl: seconds without a text
    after which it does. None: never. notify: its people are told how to begin. policy: how their numbers are chosen.
    late_texts: what becomes of those that come after its end; None: as LATE_TEXTS says.
    """

    reference: str = ""
    ttl: int | None = None
    idle_ttl: int | None = None
    notify: bool = True
    policy: Policy = field(default_factory=Policy)
    late_texts: LateTexts | None = None


class CannotCreate(Exception):
    """The conversation cannot be made because of one participant, and nothing was. Says why, without a number.

    position: the participant's place in the request. code: a slug for programs. field: what of theirs is at fault.
    """

    def __init__(self, position: int, code: str, detail: str, *, field: str = "number") -> None:
        super().__init__(detail)
        self.position = position
        self.code = code
        self.detail = detail
        self.field = field


class MixedUp(Exception):
    """The caller has used this key before, for a request that asks for something else."""


class NamedNumberTaken(CannotCreate):
    """The virtual number that was asked for serves another conversation of this participant, or is full."""

    def __init__(self, position: int) -> None:
        super().__init__(
            position,
            "proxy_number_taken",
            "the virtual number that was asked for serves another conversation of theirs, open or cooling down, or as "
            "many people as a number may",
            field="proxy_number",
        )


class NoNumberFree(CannotCreate):
    """Every virtual number that could serve this participant is taken by their other conversations, or full."""

    def __init__(self, position: int, code: str, detail: str, *, country: str, need: Need) -> None:
        super().__init__(position, code, detail, field="")
        self.country = country
        self.need = need

    @property
    def figures(self) -> dict[str, Any]:
        """What is missing, by name, for programs."""
        return {
            "participant": self.position,
            "country": self.country,
            "numbers_able": self.need.able,
            "numbers_in_use": self.need.in_use,
            "numbers_needed": self.need.needed,
            "next_release_at": self.need.next_release_at,
        }


class TooManyAtOnce(Exception):
    """Others were faster each time that we tried: try again soon. Nothing was created."""

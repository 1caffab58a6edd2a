"""What happened to one number, told to whoever watches a long command."""

from dataclasses import dataclass
from enum import StrEnum

from numbers.models import VirtualNumber


class StepKind(StrEnum):
    BOUGHT = "bought"
    REFUSED = "refused"
    """The carrier would not sell it; the next one is tried."""
    CONFIGURED = "configured"
    """Its texts reach us."""
    NOT_CONFIGURED = "not configured"
    """It is ours, but its texts do not reach us yet."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """detail: why, in words, where it did not go as it should."""

    kind: StepKind
    number: VirtualNumber
    detail: str = ""

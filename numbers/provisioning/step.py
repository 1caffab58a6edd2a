"""The outcome of one step for one number, reported to the person who watches a long command."""

from dataclasses import dataclass
from enum import StrEnum

from numbers.models import VirtualNumber


class StepKind(StrEnum):
    BOUGHT = "bought"
    REFUSED = "refused"
    """The carrier does not sell it. The next one is tried."""
    CONFIGURED = "configured"
    """Its inbound messages reach us."""
    NOT_CONFIGURED = "not configured"
    """It is ours, but its inbound messages do not reach us yet."""


@dataclass(frozen=True, kw_only=True)
class ProvisioningStep:
    """One step. detail: why it failed, or what is unusual about it."""

    kind: StepKind
    number: VirtualNumber
    detail: str = ""

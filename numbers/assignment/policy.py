"""The policy that chooses numbers: the settings, or what a request overrides."""

from dataclasses import dataclass, field
from enum import StrEnum

from django.conf import settings

from numbers.models import Pool


class Geography(StrEnum):
    """Whether a person may get a virtual number of another country than their own."""

    SAME_COUNTRY = "same-country"
    PREFER = "prefer"
    """Their own country first, in it their area, then their state or province. Another country if none is free."""
    ANY = "any"
    """Countries are ignored."""


class Stickiness(StrEnum):
    """Whether two people who meet again get the same numbers."""

    STICKY = "sticky"
    """The same two people get the numbers that they last had with each other, if these are free."""
    AVOID_STICKY = "avoid-sticky"
    """They get other numbers, if other numbers are free."""


class ExhaustionPolicy(StrEnum):
    """The behaviour if every number that could serve a person is in one of their live conversations."""

    STRICT = "strict"
    """Reject the conversation."""
    SOFT = "soft"
    """Cut short the cool-down of their conversation that ended first, and record it."""


@dataclass(frozen=True, kw_only=True)
class AssignmentPolicy:
    """How numbers are chosen for one conversation.

    pool: None is the common pool, the numbers without a pool. service_id: only conversations of this service count as
    earlier ones, whose numbers are used again; None: those of every service.
    """

    pool: Pool | None = None
    service_id: int | None = None
    geography: Geography = field(default_factory=lambda: Geography(settings.NUMBER_GEOGRAPHY))
    stickiness: Stickiness = field(default_factory=lambda: Stickiness(settings.NUMBER_STICKINESS))
    on_exhausted: ExhaustionPolicy = field(default_factory=lambda: ExhaustionPolicy(settings.ON_EXHAUSTED))

    @property
    def cap(self) -> int | None:
        """The most live participants that a number may have; None for no limit."""
        of_pool = self.pool.number_cap if self.pool else None
        return of_pool or settings.NUMBER_CAP or None


def policy_of(
    pool: Pool | None, *, geography: str | None, stickiness: str | None, on_exhausted: str | None
) -> AssignmentPolicy:
    """Return the policy for these values. The settings decide each one that is None. Raises ValueError."""
    asked = {
        "geography": geography and Geography(geography),
        "stickiness": stickiness and Stickiness(stickiness),
        "on_exhausted": on_exhausted and ExhaustionPolicy(on_exhausted),
    }
    return AssignmentPolicy(pool=pool, **{name: value for name, value in asked.items() if value})  # type: ignore[arg-type]

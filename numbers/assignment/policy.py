"""How numbers are chosen: what the settings say, unless a request says otherwise."""

from dataclasses import dataclass, field
from enum import StrEnum

from django.conf import settings

from numbers.models import Pool


class Geography(StrEnum):
    """May a person be given a virtual number of another country than their own?"""

    SAME_COUNTRY = "same-country"
    PREFER = "prefer"
    """Their own country first, and in it their area, then their state or province; else any."""
    ANY = "any"
    """Whichever."""


class Stickiness(StrEnum):
    STICKY = "sticky"
    """The same two people get the numbers that they had with each other before."""
    AVOID_STICKY = "avoid-sticky"
    """They get others, where there are others."""


class UsedUp(StrEnum):
    """What if somebody has every number that could serve them in a conversation already?"""

    STRICT = "strict"
    """There is no further one."""
    SOFT = "soft"
    """The cool-down of their conversation that ended the longest ago is cut short. It is recorded."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """pool: None is the common one, of the numbers without a pool."""

    pool: Pool | None = None
    geography: Geography = field(default_factory=lambda: Geography(settings.NUMBER_GEOGRAPHY))
    stickiness: Stickiness = field(default_factory=lambda: Stickiness(settings.NUMBER_STICKINESS))
    used_up: UsedUp = field(default_factory=lambda: UsedUp(settings.NUMBERS_USED_UP))

    @property
    def cap(self) -> int | None:
        """The most live participants that a number may have; None: as many as come."""
        of_pool = self.pool.number_cap if self.pool else None
        return of_pool or settings.NUMBER_CAP or None


def policy_of(pool: Pool | None, *, geography: str | None, stickiness: str | None, used_up: str | None) -> Policy:
    """What somebody asked for, in words; what they left out (None) is as the settings say. Raises ValueError."""
    asked = {
        "geography": geography and Geography(geography),
        "stickiness": stickiness and Stickiness(stickiness),
        "used_up": used_up and UsedUp(used_up),
    }
    return Policy(pool=pool, **{name: value for name, value in asked.items() if value})  # type: ignore[arg-type]

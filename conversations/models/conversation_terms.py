"""The terms of a conversation: what was asked for when it was created or changed, and until when it lasts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from numbers.assignment.policy import AssignmentPolicy, Geography, policy_of
from numbers.models import Pool
from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import DatabaseNow, database_now
from smsproxy.services.models import LANGUAGE_LENGTH, MAX_TTL
from smsproxy.states import StaleState

from .conversation_state import ConversationState, LateMessagePolicy

MAX_AHEAD = timedelta(seconds=MAX_TTL)
"""How far from now an end may be that is set or moved. Ends that were stored before may be later."""


class EndHasPassed(StaleState):
    """The fixed end of a conversation has passed. It begins or reopens only with another end."""


class EndTooLate(ValueError):
    """The end would be more than MAX_AHEAD from now."""


class BlankReference(ValueError):
    """A reference that is to be unique is empty."""


def check_fixed_end(expires_at: datetime, now: datetime) -> None:
    """Raise EndHasPassed or EndTooLate if a conversation cannot get this fixed end now."""
    if expires_at <= now:
        raise EndHasPassed("the fixed end of a conversation has passed")
    if expires_at > now + MAX_AHEAD:
        raise EndTooLate(f"expected an end at most {MAX_AHEAD.days} days from now")


@dataclass(frozen=True, kw_only=True)
class End:
    """When a conversation ends by itself: after ttl seconds, at a fixed time, or never if both are None."""

    ttl: int | None = None
    expires_at: datetime | None = None

    def columns(self, now: datetime) -> dict[str, Any]:
        """Return the columns of a conversation that gets this end now."""
        ends_at = self.expires_at if self.ttl is None else now + timedelta(seconds=self.ttl)
        return {"ttl": self.ttl, "expires_at": ends_at}


def idle_columns(idle_ttl: int | None, now: datetime) -> dict[str, Any]:
    """Return the columns of a conversation that ends if nobody writes for these seconds from now. None: it does not."""
    return {"idle_ttl": idle_ttl, "idle_at": None if idle_ttl is None else now + timedelta(seconds=idle_ttl)}


def time_is_up(at: datetime | DatabaseNow) -> models.Q:
    """Return the filter for conversations that ended by then by their own times, whatever their stored state is."""
    return models.Q(expires_at__lte=at) | models.Q(idle_at__lte=at)


class ConversationTerms(models.Model):
    """The columns of a conversation that a marketplace chooses."""

    state: Any
    closed_at: Any

    reference = models.CharField(
        max_length=100, blank=True, db_index=True, help_text="The marketplace's own name for it."
    )
    is_reference_unique = models.BooleanField(
        default=False, db_default=False, help_text="No other open conversation of its service may have this reference."
    )
    metadata = EncryptedTextField(
        blank=True, default="", db_default="", help_text="JSON of the marketplace, returned as it is."
    )
    language = models.CharField(
        max_length=LANGUAGE_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="The language of our own texts, such as pt-BR. Empty: the service's language.",
    )
    texts = models.JSONField(
        null=True, blank=True, help_text="Texts of its own by their kind, which replace those of its service."
    )
    notify = models.BooleanField(
        default=True, db_default=True, help_text="Whether its participants are sent a confirmation."
    )
    pool = models.ForeignKey(
        Pool,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="conversations",
        help_text="The pool that its numbers come from. Empty: the common pool.",
    )
    geography = models.CharField(
        max_length=20,
        blank=True,
        db_default="",
        choices=[(each.value, each.value) for each in Geography],
        help_text="Countries that proxy numbers may come from. Empty: NUMBER_GEOGRAPHY.",
    )
    stickiness = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="As requested.")
    on_exhausted = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="As requested.")
    on_existing = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="As requested.")
    late_messages = models.CharField(
        max_length=10,
        choices=LateMessagePolicy.choices,
        default=LateMessagePolicy.END,
        db_default=LateMessagePolicy.END.value,
        help_text="Messages after its end, while its numbers cool down.",
    )
    ttl = models.PositiveIntegerField(
        null=True, blank=True, help_text="Seconds from its beginning to its end. A reopening restarts them."
    )
    expires_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Its end, by its ttl. Without a ttl: its fixed end. Leave empty for no time limit.",
    )
    idle_ttl = models.PositiveIntegerField(
        null=True, blank=True, help_text="Seconds without a message after which it ends. Leave empty for no idle limit."
    )
    idle_at = models.DateTimeField(
        null=True, blank=True, help_text="The time at which it ends if nobody writes before."
    )

    class Meta:
        abstract = True

    @property
    def own_texts(self) -> dict[str, str]:
        """Its own texts, by kind."""
        return self.texts or {}

    @property
    def policy(self) -> AssignmentPolicy:
        """The assignment policy for replacing a participant's number."""
        return policy_of(self.pool, geography=self.geography or None, stickiness=None, on_exhausted=None)

    @property
    def has_fixed_end(self) -> bool:
        """Whether it ends at a time that was named, and not a number of seconds after its beginning."""
        return self.expires_at is not None and self.ttl is None

    def fixed_end_has_passed(self, at: datetime) -> bool:
        """Return whether it cannot be reopened then without a new end."""
        return self.has_fixed_end and self.expires_at is not None and self.expires_at <= at

    def is_over(self, at: datetime) -> bool:
        """Return whether its time is up then, whether it has been closed for that or not."""
        return any(end is not None and end <= at for end in (self.expires_at, self.idle_at))

    def reason_of_end(self, at: datetime) -> str:
        """Return why its time is up then, as the reason of its closing."""
        return "expired" if self.expires_at is not None and self.expires_at <= at else "idle"

    def restarted(self, now: datetime, end: End | None = None) -> dict[str, Any]:
        """Return the columns of its times if it reopens now. end: a new one; None: its ttl starts again.

        A fixed end stays. Raises EndHasPassed if it has passed.
        """
        if end is None:
            if self.fixed_end_has_passed(now):
                raise EndHasPassed(f"the fixed end of conversation {self.pk} has passed")
            end = End(ttl=self.ttl, expires_at=self.expires_at)
        return end.columns(now) | idle_columns(self.idle_ttl, now)

    def is_live(self, at: datetime | None = None) -> bool:
        """Return whether its participants may text each other then: not after its time, even if not closed yet.

        at: None: now.
        """
        return self.state == ConversationState.OPEN and not self.is_over(at or database_now())

    @property
    def status_now(self) -> str:
        """Its state as it is shown: closed once its time is up, even before the periodic job has closed it."""
        return (ConversationState.OPEN if self.is_live(timezone.now()) else ConversationState.CLOSED).value

    @property
    def end_shown(self) -> datetime | None:
        """Its `expires_at`. None if it ended before that."""
        return self._shown(self.expires_at)

    @property
    def idle_end_shown(self) -> datetime | None:
        """Its `idle_at`. None if it ended before that."""
        return self._shown(self.idle_at)

    def _shown(self, end: datetime | None) -> datetime | None:
        now = timezone.now()
        if end is None or self.is_live(now):
            return end
        return end if end <= (self.closed_at or now) else None

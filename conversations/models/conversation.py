"""Conversations: who may text each other, and until when."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models, transaction
from django.utils import timezone

from numbers.assignment.policy import Geography, Policy, policy_of
from numbers.models import Pool
from numbers.models.pool import cool_down_of
from smsproxy.api.models import ApiKey
from smsproxy.states import Event, StaleState, Stateful

if TYPE_CHECKING:
    from .participant import Participant

MAX_PARTICIPANTS = 10


class ConversationState(models.TextChoices):
    OPEN = "open", "open"
    """Its participants may text each other, until it expires."""
    CLOSED = "closed", "closed"
    """Over. Its numbers cool down, and then go to others."""


class LateTexts(models.TextChoices):
    """What becomes of a text that comes when its conversation has ended and its numbers cool down."""

    END = "end", "are answered that it has ended"
    """Nobody gets it, and its sender is told so: ENDED_NOTICE."""
    REOPEN = "reopen", "reopen it"
    """The conversation goes on, for as long as it was meant to last at first."""


def _time_is_up(at: datetime) -> models.Q:
    return models.Q(expires_at__lte=at) | models.Q(idle_at__lte=at)


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def live(self) -> Self:
        """Those whose participants may text each other now."""
        now = timezone.now()
        unexpired = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        awake = models.Q(idle_at__isnull=True) | models.Q(idle_at__gt=now)
        return self.filter(unexpired, awake, state=ConversationState.OPEN)

    def with_participants(self) -> Self:
        """And their numbers, in a query each."""
        from .participant import Participant  # Which imports this module: its rows point here.

        current = Participant.objects.current()
        return self.select_related("pool").prefetch_related(
            models.Prefetch("participants", current, to_attr="people"),
            "people__real_number",
            "people__proxy_number",
        )

    def over(self) -> Self:
        """Closed, or about to be."""
        return self.filter(models.Q(state=ConversationState.CLOSED) | _time_is_up(timezone.now()))

    def expired(self, at: datetime) -> Self:
        """Still open in the table, though their time is up."""
        return self.filter(state=ConversationState.OPEN, expires_at__lte=at).order_by("expires_at")

    def idle(self, at: datetime) -> Self:
        """Still open in the table, though nobody has written for too long."""
        return self.filter(state=ConversationState.OPEN, idle_at__lte=at).order_by("idle_at")


class Conversation(Stateful):
    """2 to 10 people who may text each other."""

    ALLOWED: ClassVar = {
        ConversationState.OPEN: frozenset({ConversationState.CLOSED}),
        # Reopened, while its numbers still cool down.
        ConversationState.CLOSED: frozenset({ConversationState.OPEN}),
    }

    public_id = models.UUIDField("id", default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=20, choices=ConversationState.choices, default=ConversationState.OPEN)
    reference = models.CharField(
        max_length=100, blank=True, db_index=True, help_text="The marketplace's own name of it."
    )
    # Without an index: nobody asks for the conversations of a pool.
    pool = models.ForeignKey(
        Pool,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="conversations",
        help_text="Whose numbers it has. Empty: the common pool.",
    )
    geography = models.CharField(
        max_length=20,
        blank=True,
        db_default="",
        choices=[(each.value, each.value) for each in Geography],
        help_text="Of which countries their numbers may be. Empty: as NUMBER_GEOGRAPHY says.",
    )
    late_texts = models.CharField(
        max_length=10,
        choices=LateTexts.choices,
        default=LateTexts.END,
        db_default=LateTexts.END.value,
        help_text="Texts that come after its end, while its numbers cool down.",
    )
    created_by = models.ForeignKey(ApiKey, models.PROTECT, null=True, blank=True, related_name="conversations")
    idempotency_key = models.CharField(
        max_length=100, blank=True, help_text="The caller's name for the request that made it: one request, once."
    )
    request_hash = models.CharField(max_length=64, blank=True, help_text="To tell a repeat from a mix-up.")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it ends only when it is closed.")
    idle_ttl = models.PositiveIntegerField(
        null=True, blank=True, help_text="Seconds without a text after which it ends. Empty: it may rest for ever."
    )
    idle_at = models.DateTimeField(null=True, blank=True, help_text="When it ends if nobody writes before.")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_reason = models.CharField(max_length=20, blank=True)
    reopened_at = models.DateTimeField(null=True, blank=True, help_text="When it was opened again, the last time.")
    route_version = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Counts how often somebody in it was given another number."
    )

    objects = ConversationQuerySet.as_manager()
    people: "list[Participant]"  # Those in it, where they were read with it: `with_participants`.

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="one_conversation_for_a_request",
            )
        ]
        indexes = [
            # The sweep that closes expired conversations.
            models.Index(
                "expires_at",
                condition=models.Q(state=ConversationState.OPEN, expires_at__isnull=False),
                name="conversation_expiring",
            ),
            # The sweep that closes those in which nobody has written for idle_ttl.
            models.Index(
                "idle_at",
                condition=models.Q(state=ConversationState.OPEN, idle_at__isnull=False),
                name="conversation_idle",
            ),
        ]

    def __str__(self) -> str:
        return self.reference or str(self.public_id)

    def is_live(self, at: datetime | None = None) -> bool:
        """May its participants text each other? Not after its time, even before the sweep has closed it."""
        at = at or timezone.now()
        ends = [end for end in (self.expires_at, self.idle_at) if end is not None]
        return self.state == ConversationState.OPEN and all(at < end for end in ends)

    @property
    def policy(self) -> Policy:
        """How somebody in it is given another number."""
        return policy_of(self.pool, geography=self.geography or None, stickiness=None, used_up=None)

    @property
    def current_participants(self) -> "Sequence[Participant]":
        """Those in it, with the numbers that they have now, in order."""
        people = getattr(self, "people", None)
        return list(self.participants.current()) if people is None else people

    def remember(self, participants: "Sequence[Participant]") -> None:
        """They have just been made: who asks for them next need not ask the database."""
        self.people = list(participants)

    def restart_idle_time(self) -> None:
        """Somebody has written: from now on it counts anew."""
        if self.idle_ttl is not None:
            self.idle_at = timezone.now() + timedelta(seconds=self.idle_ttl)
            self.save(update_fields=["idle_at"])

    def close_expired(self) -> None:
        """End it because its time is up. Raises StaleState: it has begun anew meanwhile, or is closed already."""
        self._close_if_among(Conversation.objects.expired(timezone.now()), reason="expired")

    def close_idle(self) -> None:
        """End it because nobody writes any more. Raises StaleState: somebody just has, or it is closed already."""
        self._close_if_among(Conversation.objects.idle(timezone.now()), reason="idle")

    def _close_if_among(self, ending: ConversationQuerySet, *, reason: str) -> None:
        with transaction.atomic():
            # Whoever opens it again holds this lock, and so does a text that is just being taken in: each puts the end
            # off.
            found = ending.select_for_update(no_key=True).filter(pk=self.pk).first()
            if found is None:
                raise StaleState(f"conversation {self.pk} goes on, or is closed already")
            found.close(reason=reason)

    def close(self, *, reason: str = "closed", actor: str = "", for_good: bool = False) -> Self:
        """End it and let its numbers cool down. Raises StaleState: it is closed already.

        for_good: whatever its policy was, no late text opens it again.
        """
        now = timezone.now()
        changes: dict[str, object] = {"closed_at": now, "closed_reason": reason}
        if for_good:
            changes["late_texts"] = LateTexts.END
        with transaction.atomic():
            self.move(ConversationState.CLOSED, reason=reason, actor=actor, **changes)
            self.participants.unreleased().update(release_at=now + cool_down_of(self.pool))
        return self

    def close_for_good(self, *, actor: str = "") -> Self:
        """End it, or see to it that a closed one stays so: no late text opens it again.

        Raises StaleState: it is closed for good already.
        """
        with transaction.atomic():
            self._lock()
            if self.state == ConversationState.OPEN:
                return self.close(actor=actor, for_good=True)
            if self.late_texts == LateTexts.END:
                raise StaleState(f"conversation {self.pk} is closed for good already")
            self.late_texts = LateTexts.END
            self.save(update_fields=["late_texts"])
            self.record(self.state, old_state=self.state, reason="closed for good", actor=actor)
        return self

    def reopen(self, *, reason: str = "reopened", actor: str = "") -> Self:
        """Let its participants text each other again, with the numbers that they had; its times begin anew.

        Raises StaleState: it is open, or one of its numbers may be somebody else's by now: its pair has been released,
        or we do not rent it any more.
        """
        with transaction.atomic():
            self._lock()
            now = timezone.now()
            if self.state == ConversationState.OPEN and not self.is_live(now):
                # Its time is up, and the sweep has not been there.
                self.close(reason="expired" if self.expires_at and self.expires_at <= now else "idle")
            current = self.participants.current()
            if current.unreleased().update(release_at=None) != current.count() or self._has_lost_a_number():
                raise StaleState(f"conversation {self.pk} has lost a number since it ended")
            self.move(
                ConversationState.OPEN,
                reason=reason,
                actor=actor,
                closed_at=None,
                closed_reason="",
                reopened_at=now,
                **self._times_anew(now),
            )
        return self

    def reopens_for_a_late_text(self) -> bool:
        """Has it ended, and would a text open it again? Not if one of its numbers may be somebody else's by now."""
        if self.late_texts != LateTexts.REOPEN or self.is_live():
            return False
        return not self._has_lost_a_number()

    def _has_lost_a_number(self) -> bool:
        """May one of those that its people have be somebody else's by now?"""
        is_lost = models.Q(released_at__isnull=False) | models.Q(proxy_number__is_rented=False)
        return self.participants.current().filter(is_lost).exists()

    def _lock(self) -> None:
        """Read it anew and keep others from changing it until the transaction ends, as a text that is taken in does."""
        self.refresh_from_db(from_queryset=Conversation.objects.select_for_update(no_key=True))

    def _times_anew(self, now: datetime) -> dict[str, datetime | None]:
        begun = self.reopened_at or self.created_at
        return {
            "expires_at": now + (self.expires_at - begun) if self.expires_at else None,
            "idle_at": now + timedelta(seconds=self.idle_ttl) if self.idle_ttl is not None else None,
        }


class ConversationEvent(Event):
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

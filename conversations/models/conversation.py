"""Conversations, and the participant rows that route every inbound text."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from numbers.models import RealNumber, VirtualNumber
from smsproxy.api.models import ApiKey
from smsproxy.crypto import keyed_hash
from smsproxy.states import Event, StaleState, Stateful

MAX_PARTICIPANTS = 10


class ConversationState(models.TextChoices):
    OPEN = "open", "open"
    """Its participants may text each other, until it expires."""
    CLOSED = "closed", "closed"
    """Over. Its numbers cool down, and then go to others."""


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
        return self.prefetch_related("participants__real_number", "participants__proxy_number")

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
        ConversationState.CLOSED: frozenset(),
    }

    public_id = models.UUIDField("id", default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=20, choices=ConversationState.choices, default=ConversationState.OPEN)
    reference = models.CharField(
        max_length=100, blank=True, db_index=True, help_text="The marketplace's own name of it."
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

    objects = ConversationQuerySet.as_manager()

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

    def remember(self, participants: "Sequence[Participant]") -> None:
        """They have just been made: who asks for them next need not ask the database."""
        found = self.participants.all()
        found._result_cache = list(participants)
        self._prefetched_objects_cache = {"participants": found}

    def restart_idle_time(self) -> None:
        """Somebody has written: from now on it counts anew."""
        if self.idle_ttl is not None:
            self.idle_at = timezone.now() + timedelta(seconds=self.idle_ttl)
            self.save(update_fields=["idle_at"])

    def close_idle(self) -> None:
        """End it because nobody writes any more. Raises StaleState: somebody just has, or it is closed already."""
        with transaction.atomic():
            # A text that is just being taken in holds this lock, and puts the end off.
            idle = Conversation.objects.idle(timezone.now()).select_for_update(no_key=True).filter(pk=self.pk).first()
            if idle is None:
                raise StaleState(f"conversation {self.pk} is not idle any more")
            idle.close(reason="idle")

    def close(self, *, reason: str = "closed", actor: str = "") -> Self:
        """End it and let its numbers cool down. Raises StaleState: it is closed already."""
        now = timezone.now()
        with transaction.atomic():
            self.move(ConversationState.CLOSED, reason=reason, actor=actor, closed_at=now, closed_reason=reason)
            self.participants.update(release_at=now + timedelta(seconds=settings.COOL_DOWN))
        return self


class ConversationEvent(Event):
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]


class ParticipantQuerySet(models.QuerySet["Participant"]):
    def unreleased(self) -> Self:
        """Open or cooling down: their pair of numbers is theirs alone."""
        return self.filter(released_at__isnull=True)

    def cooled_down(self, at: datetime) -> Self:
        """Unreleased, though their cool-down is over."""
        return self.unreleased().filter(release_at__lte=at)

    def route(self, sender: str, recipient: str) -> "Participant | None":
        """Who wrote: the one participant whom a text from this real number to this virtual number can be from.

        This look-up decides where an inbound text goes. The constraint `one_live_route` makes it unambiguous. (On
        PostgreSQL the ordinary text is routed by `hotpath.find`, which says the same.)

        It locks the conversation until the transaction ends: so what two texts of one conversation queue becomes
        visible in the order of its ids, in which it is sent; and nothing is queued once `close` has returned.
        """
        return (
            self.unreleased()
            .select_for_update(no_key=True, of=("conversation",))
            .filter(real_number__number_hash=keyed_hash(sender), proxy_number__number=recipient)
            .select_related("conversation", "real_number", "proxy_number")
            .first()
        )


class Participant(models.Model):
    """A person in one conversation, and the virtual number that they text and get texts from in it."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="participants")
    position = models.PositiveSmallIntegerField(
        help_text="The place in the request that made the conversation, from 0."
    )
    label = models.CharField(max_length=40, blank=True, help_text="What the others see instead of a number.")
    real_number = models.ForeignKey(RealNumber, models.PROTECT, related_name="participants")
    proxy_number = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="participants")
    release_at = models.DateTimeField(null=True, blank=True, help_text="The end of the cool-down, once closed.")
    released_at = models.DateTimeField(null=True, blank=True, help_text="Since then the pair may be given to others.")

    objects = ParticipantQuerySet.as_manager()

    class Meta:
        ordering = ["conversation_id", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["real_number", "proxy_number"],
                condition=models.Q(released_at__isnull=True),
                name="one_live_route",
            ),
            models.UniqueConstraint(fields=["conversation", "real_number"], name="a_person_once_in_a_conversation"),
            models.UniqueConstraint(fields=["conversation", "position"], name="a_position_once_in_a_conversation"),
        ]
        indexes = [
            # The sweep that ends cool-downs.
            models.Index(
                "release_at",
                condition=models.Q(released_at__isnull=True, release_at__isnull=False),
                name="participant_cooling_down",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.label or f"Person {self.position + 1}"

    def has_followed_others_since(self, at: datetime) -> bool:
        """Did this pair of numbers stand for another conversation at that time?"""
        same_pair = Participant.objects.filter(real_number=self.real_number_id, proxy_number=self.proxy_number_id)
        return same_pair.filter(released_at__gt=at).exists()

    def others(self) -> models.QuerySet["Participant"]:
        """Everybody else in the conversation, in order."""
        return (
            Participant.objects.filter(conversation=self.conversation_id)
            .exclude(pk=self.pk)
            .select_related("conversation", "real_number", "proxy_number")
            .order_by("position")
        )

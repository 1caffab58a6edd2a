"""Conversations: who may text each other, and until when."""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.apps import apps
from django.db import models, transaction

from numbers.assignment.policy import AssignmentPolicy, Geography, policy_of
from numbers.models import Pool
from numbers.models.pool import cool_down_of
from smsproxy.api.models import ApiKey
from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import DatabaseNow, database_now
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.services.models import DEFAULT_SERVICE_ID, LANGUAGE_LENGTH, Service, default_service_id
from smsproxy.states import Event, StaleState, StateMachine
from smsproxy.unreadable import EncryptedRow

from .conversation_feed import announce_end
from .limit_usage import LimitScope, LimitUsage

if TYPE_CHECKING:
    from .participant import Participant

log = logging.getLogger(__name__)

MAX_PARTICIPANTS = 10


class ConversationState(models.TextChoices):
    OPEN = "open", "open"
    """Its participants may text each other until it expires."""
    CLOSED = "closed", "closed"
    """It has ended. Its pairs of numbers cool down, and may then be given to others."""


class LateMessagePolicy(models.TextChoices):
    """The policy for a message that arrives after the end, while the numbers cool down."""

    END = "end", "reply “conversation ended”"
    """Nobody receives it, and its sender gets ENDED_NOTICE."""
    REOPEN = "reopen", "reopen the conversation"
    """The conversation reopens, for as long as its first ttl."""


def _time_is_up(at: datetime | DatabaseNow) -> models.Q:
    return models.Q(expires_at__lte=at) | models.Q(idle_at__lte=at)


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def open_now(self) -> Self:
        """Return conversations whose participants may text each other now."""
        unexpired = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=DatabaseNow())
        awake = models.Q(idle_at__isnull=True) | models.Q(idle_at__gt=DatabaseNow())
        return self.filter(unexpired, awake, state=ConversationState.OPEN)

    def with_participants(self) -> Self:
        """Prefetch participants and their numbers, one query for each relation."""
        from .participant import Participant  # It imports this module, as its rows point here.

        current = Participant.objects.current()
        return (
            self.with_failed_confirmations()
            .select_related("pool")
            .prefetch_related(
                models.Prefetch("participants", current, to_attr="loaded_participants"),
                "loaded_participants__real_number",
                "loaded_participants__proxy_number",
            )
        )

    def with_failed_confirmations(self) -> Self:
        """Annotate each with `notify_failed`: a confirmation did not reach its participant."""
        messages: Any = apps.get_model("conversations.OutboundMessage")  # Its module imports this one.
        failed = messages.objects.failed_confirmations().filter(conversation=models.OuterRef("pk"))
        return self.annotate(notify_failed=models.Exists(failed))

    def ended(self) -> Self:
        """Return conversations that are closed, or whose time is up."""
        return self.filter(models.Q(state=ConversationState.CLOSED) | _time_is_up(DatabaseNow()))

    def on_hold(self) -> Self:
        """Return open conversations on hold, the longest-held first."""
        return self.filter(state=ConversationState.OPEN, held_at__isnull=False).order_by("held_at")

    def expired(self, at: datetime) -> Self:
        """Return conversations stored as open whose ttl is over."""
        return self.filter(state=ConversationState.OPEN, expires_at__lte=at).order_by("expires_at")

    def idle(self, at: datetime) -> Self:
        """Return conversations stored as open in which nobody wrote for idle_ttl."""
        return self.filter(state=ConversationState.OPEN, idle_at__lte=at).order_by("idle_at")


class Conversation(EncryptedRow, StateMachine):
    """2 to 10 people who may text each other."""

    ALLOWED: ClassVar = {
        ConversationState.OPEN: frozenset({ConversationState.CLOSED}),
        # Reopened while its numbers cool down.
        ConversationState.CLOSED: frozenset({ConversationState.OPEN}),
    }

    public_id = models.UUIDField("id", default=uuid.uuid4, unique=True, editable=False)
    service = models.ForeignKey(
        Service,
        models.PROTECT,
        default=default_service_id,
        db_default=models.Value(DEFAULT_SERVICE_ID),
        db_index=False,
        related_name="conversations",
        help_text="The service that it belongs to.",
    )
    state = models.CharField(max_length=20, choices=ConversationState.choices, default=ConversationState.OPEN)
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
    created_by = models.ForeignKey(ApiKey, models.PROTECT, null=True, blank=True, related_name="conversations")
    idempotency_key = models.CharField(
        max_length=100, blank=True, help_text="The caller's Idempotency-Key: one request creates one conversation."
    )
    request_hash = models.CharField(
        max_length=64, blank=True, help_text="Detects an Idempotency-Key that is reused for a different request."
    )
    created_at = models.DateTimeField(default=database_now)
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
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_reason = models.CharField(max_length=100, blank=True)
    held_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then it is on hold: its messages are stored and not passed on."
    )
    held_reason = models.CharField(max_length=200, blank=True, db_default="", help_text="Why it is on hold.")
    reopened_at = models.DateTimeField(null=True, blank=True, help_text="The time of the last reopening.")
    route_version = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Counts the replacements of its participants' numbers."
    )

    objects = ConversationQuerySet.as_manager()
    loaded_participants: "list[Participant]"  # Set by `with_participants`.

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="one_conversation_for_a_request",
            ),
            models.UniqueConstraint(
                fields=["service", "reference"],
                condition=models.Q(is_reference_unique=True, state=ConversationState.OPEN),
                name="one_open_conversation_of_a_reference",
            ),
        ]
        indexes = [
            # For the lists of a service: newest first, or of a time range.
            models.Index("service", "id", name="conversation_of_service"),
            models.Index("service", "created_at", name="conversation_created"),
            # For the periodic job that closes expired conversations.
            models.Index(
                "expires_at",
                condition=models.Q(state=ConversationState.OPEN, expires_at__isnull=False),
                name="conversation_expiring",
            ),
            # For the periodic job that closes idle conversations.
            models.Index(
                "idle_at",
                condition=models.Q(state=ConversationState.OPEN, idle_at__isnull=False),
                name="conversation_idle",
            ),
            # For the alert: conversations on hold.
            models.Index(
                "held_at",
                condition=models.Q(state=ConversationState.OPEN, held_at__isnull=False),
                name="conversation_held",
            ),
        ]

    def __str__(self) -> str:
        return self.reference or str(self.public_id)

    def is_live(self, at: datetime | None = None) -> bool:
        """Return whether its participants may text each other then: not after its time, even if not closed yet.

        at: None: now.
        """
        at = at or database_now()
        ends = [end for end in (self.expires_at, self.idle_at) if end is not None]
        return self.state == ConversationState.OPEN and all(at < end for end in ends)

    @property
    def policy(self) -> AssignmentPolicy:
        """The assignment policy for replacing a participant's number."""
        return policy_of(self.pool, geography=self.geography or None, stickiness=None, on_exhausted=None)

    @property
    def current_participants(self) -> "Sequence[Participant]":
        """The participants with their present numbers, in order."""
        loaded = getattr(self, "loaded_participants", None)
        return list(self.participants.current()) if loaded is None else loaded

    def cache_participants(self, participants: "Sequence[Participant]") -> None:
        """Cache participants that were just created, so that the next read needs no query."""
        self.loaded_participants = list(participants)

    def touch(self, at: datetime) -> None:
        """Restart the idle time, because somebody wrote then."""
        if self.idle_ttl is not None:
            self.idle_at = at + timedelta(seconds=self.idle_ttl)
            self.save(update_fields=["idle_at"])

    def close_expired(self) -> None:
        """Close an expired conversation. Raises StaleState if it was reopened or is closed already."""
        self._close_if_among(Conversation.objects.expired(database_now()), "expired", EventType.CONVERSATION_EXPIRED)

    def close_idle(self) -> None:
        """Close an idle conversation. Raises StaleState if somebody just wrote or it is closed already."""
        self._close_if_among(Conversation.objects.idle(database_now()), "idle", EventType.CONVERSATION_IDLE)

    def _close_if_among(self, ending: ConversationQuerySet, reason: str, event: EventType) -> None:
        with transaction.atomic():
            # A reopening and an inbound message hold this lock, too: each of them moves the end.
            found = ending.select_for_update(no_key=True).filter(pk=self.pk).first()
            if found is None:
                raise StaleState(f"conversation {self.pk} is not due to end, or is closed already")
            found.close(reason=reason, event=event)

    def close(
        self,
        *,
        reason: str = "closed",
        actor: str = "",
        permanent: bool = False,
        event: EventType = EventType.CONVERSATION_CLOSED,
    ) -> Self:
        """Close the conversation and start the cool-down of its numbers. Raises StaleState if it is closed already.

        permanent: no late text reopens it, whatever its policy was. event: the one that tells of its end.
        """
        now = database_now()
        changes: dict[str, Any] = {"closed_at": now, "closed_reason": reason}
        if permanent:
            changes["late_messages"] = LateMessagePolicy.END
        with transaction.atomic():
            self.transition(ConversationState.CLOSED, reason=reason, actor=actor, **changes)
            self.participants.unreleased().update(release_at=now + cool_down_of(self.pool))
            self._forget_recent()
            announce_end(event, self.pk, self.service_id, reason=reason, duration=now - self.created_at)
        return self

    def close_permanently(self, *, actor: str = "") -> Self:
        """Close the conversation so that no late text reopens it. Raises StaleState if that is so already."""
        with transaction.atomic():
            self._lock()
            if self.state == ConversationState.OPEN:
                return self.close(actor=actor, permanent=True)
            if self.late_messages == LateMessagePolicy.END:
                raise StaleState(f"conversation {self.pk} is closed for good already")
            self.late_messages = LateMessagePolicy.END
            self.save(update_fields=["late_messages"])
            self.record_event(self.state, old_state=self.state, reason="closed for good", actor=actor)
        return self

    def hold(self, *, reason: str, actor: str = "") -> Self:
        """Put the conversation on hold: its messages are stored, not passed on. Raises StaleState if it is on hold.

        reason: for staff, without real numbers or texts.
        """
        now = database_now()
        changes = {"held_at": now, "held_reason": reason[:200]}
        self._change_hold(Conversation.objects.filter(held_at=None), f"on hold: {reason}", actor, changes)
        log.warning("conversation %s is on hold: %s", self.pk, reason if not actor else "by staff")
        return self

    def release_hold(self, *, reason: str, actor: str) -> Self:
        """Pass on its messages again, from the next one. Raises StaleState if it is not on hold.

        The memory of the loop breaker begins again: otherwise the next message would put it on hold at once.
        """
        held = Conversation.objects.filter(held_at__isnull=False)
        with transaction.atomic():
            self._change_hold(held, f"released: {reason}", actor, {"held_at": None, "held_reason": ""})
            self._forget_recent()
        return self

    def _change_hold(self, rows: ConversationQuerySet, event: str, actor: str, changes: dict[str, Any]) -> None:
        with transaction.atomic():
            if rows.filter(pk=self.pk).update(**changes) != 1:
                raise StaleState(f"conversation {self.pk} is{' not' if changes['held_at'] is None else ''} on hold")
            self.record_event(self.state, old_state=self.state, reason=event, actor=actor)
            is_held = changes["held_at"] is not None
            self._announce(EventType.CONVERSATION_HELD if is_held else EventType.CONVERSATION_RELEASED)
        for field, value in changes.items():
            setattr(self, field, value)

    def _announce(self, type_: EventType, **data: str) -> None:
        record(NewEvent(type=type_, service_id=self.service_id, conversation_id=self.pk, data=data))

    def _forget_recent(self) -> None:
        LimitUsage.objects.filter(scope=LimitScope.CONVERSATION, subject_id=self.pk).update(recent="")

    def reopen(self, *, reason: str = "reopened", actor: str = "") -> Self:
        """Reopen the conversation with its numbers, and restart its times.

        Raises StaleState if it is open, or if a number is lost: its pair was released, or it is no longer rented.
        """
        with transaction.atomic():
            self._lock()
            now = database_now()
            if self.state == ConversationState.OPEN and not self.is_live(now):
                # Its time is up, and the periodic job has not closed it yet.
                is_expired = self.expires_at is not None and self.expires_at <= now
                event = EventType.CONVERSATION_EXPIRED if is_expired else EventType.CONVERSATION_IDLE
                self.close(reason="expired" if is_expired else "idle", event=event)
            current = self.participants.current()
            if current.unreleased().update(release_at=None) != current.count() or self._has_lost_a_number():
                raise StaleState(f"conversation {self.pk} has lost a number since it ended")
            self.transition(
                ConversationState.OPEN,
                reason=reason,
                actor=actor,
                closed_at=None,
                closed_reason="",
                reopened_at=now,
                **self._restarted_deadlines(now),
            )
            self._announce(EventType.CONVERSATION_REOPENED, reason=reason)
        return self

    def _has_lost_a_number(self) -> bool:
        """Return whether a participant's pair was released or their number is no longer rented."""
        is_lost = models.Q(released_at__isnull=False) | models.Q(proxy_number__is_rented=False)
        return self.participants.current().filter(is_lost).exists()

    def _lock(self) -> None:
        """Reload the row and lock it until the transaction ends, as an inbound message does."""
        self.refresh_from_db(from_queryset=Conversation.objects.select_for_update(no_key=True))

    def _restarted_deadlines(self, now: datetime) -> dict[str, Any]:
        begun = self.reopened_at or self.created_at
        return {
            "expires_at": now + (self.expires_at - begun) if self.expires_at else None,
            "idle_at": now + timedelta(seconds=self.idle_ttl) if self.idle_ttl is not None else None,
        }


class ConversationEvent(Event):
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

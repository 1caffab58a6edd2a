"""Conversations: who may text each other, and until when."""

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import IntegrityError, models, transaction

from numbers.models.pool import cool_down_of
from smsproxy.api.models import ApiKey
from smsproxy.database.clock import database_now
from smsproxy.events.record import NewEvent, record
from smsproxy.events.types import EventType
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service, default_service_id
from smsproxy.states import Event, StaleState, StateMachine
from smsproxy.unreadable import EncryptedRow

from .conversation_feed import announce_change, announce_end
from .conversation_queries import ConversationQuerySet
from .conversation_state import ConversationState, LateMessagePolicy
from .conversation_terms import (
    MAX_AHEAD,
    BlankReference,
    ConversationTerms,
    End,
    EndTooLate,
    idle_columns,
)
from .limit_usage import LimitScope, LimitUsage

if TYPE_CHECKING:
    from .participant import Participant

log = logging.getLogger(__name__)

MAX_PARTICIPANTS = 10


class DuplicateReference(StaleState):
    """Another open conversation of the service has this reference, which one of them must have alone."""


class Conversation(EncryptedRow, StateMachine, ConversationTerms):
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
    created_by = models.ForeignKey(ApiKey, models.PROTECT, null=True, blank=True, related_name="conversations")
    idempotency_key = models.CharField(
        max_length=100, blank=True, help_text="The caller's Idempotency-Key: one request creates one conversation."
    )
    request_hash = models.CharField(
        max_length=64, blank=True, help_text="Detects an Idempotency-Key that is reused for a different request."
    )
    created_at = models.DateTimeField(default=database_now)
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
            models.Index(
                "service",
                "closed_at",
                condition=models.Q(closed_at__isnull=False),
                name="conversation_closed",
            ),
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
            # For the list of open conversations, newest first.
            models.Index("id", condition=models.Q(state=ConversationState.OPEN), name="conversation_open"),
            # For the alert: conversations on hold.
            models.Index(
                "held_at",
                condition=models.Q(state=ConversationState.OPEN, held_at__isnull=False),
                name="conversation_held",
            ),
        ]
        permissions = [("message_participants", "Can text the participants as the service")]

    def __str__(self) -> str:
        return self.reference or str(self.public_id)

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
            found = ending.locked().filter(pk=self.pk).first()
            if found is None:
                raise StaleState(f"conversation {self.pk} is not due to end, or is closed already")
            found.close(reason=reason, event=event)

    def close_over(self) -> None:
        """Close a conversation whose time is up. Raises StaleState if a concurrent change came first."""
        (self.close_expired if self.reason_of_end(database_now()) == "expired" else self.close_idle)()

    def close_if_over(self) -> None:
        """Close the conversation if its time is up, and the periodic job has not done it yet. The row is locked."""
        now = database_now()
        if self.state == ConversationState.OPEN and self.is_over(now):
            reason = self.reason_of_end(now)
            is_expired = reason == "expired"
            event = EventType.CONVERSATION_EXPIRED if is_expired else EventType.CONVERSATION_IDLE
            self.close(reason=reason, event=event)

    def close(
        self,
        *,
        reason: str = "closed",
        actor: str = "",
        why: str = "",
        permanent: bool = False,
        event: EventType = EventType.CONVERSATION_CLOSED,
    ) -> Self:
        """Close the conversation and start the cool-down of its numbers. Raises StaleState if it is closed already.

        why: for staff, in words. permanent: no late text reopens it, whatever its policy was. event: the one that
        tells of its end.
        """
        now = database_now()
        changes: dict[str, Any] = {"closed_at": now, "closed_reason": reason}
        is_policy_new = permanent and self.late_messages != LateMessagePolicy.END
        if permanent:
            changes["late_messages"] = LateMessagePolicy.END
        with transaction.atomic():
            self.transition(ConversationState.CLOSED, reason=_because(reason, why), actor=actor, **changes)
            staying = self.participants.unreleased().filter(removed_at__isnull=True)
            staying.update(release_at=now + cool_down_of(self.pool))
            self._forget_recent()
            if is_policy_new:
                announce_change(self.pk, self.service_id, columns=["late_messages"])
            announce_end(event, self.pk, self.service_id, reason=reason, duration=now - self.created_at)
        return self

    def close_permanently(self, *, actor: str = "", why: str = "") -> Self:
        """Close the conversation so that no late text reopens it. Raises StaleState if that is so already."""
        with transaction.atomic():
            self.lock()
            self.close_if_over()
            if self.state == ConversationState.OPEN:
                return self.close(actor=actor, why=why, permanent=True)
            if not self.keep_closed(actor=actor, why=why):
                raise StaleState(f"conversation {self.pk} is closed for good already")
        return self

    def keep_closed(self, *, actor: str = "", why: str = "") -> bool:
        """Let no late text reopen the closed conversation. Return False if that is so already. The row is locked."""
        if self.late_messages == LateMessagePolicy.END:
            return False
        self.late_messages = LateMessagePolicy.END
        self.save(update_fields=["late_messages"])
        self.record_event(self.state, old_state=self.state, reason=_because("closed for good", why), actor=actor)
        announce_change(self.pk, self.service_id, columns=["late_messages"])
        return True

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

    def reopen(self, *, reason: str = "reopened", actor: str = "", end: End | None = None, why: str = "") -> Self:
        """Reopen the conversation with its numbers, and restart its times. end: a new one, instead of its own.

        why: for staff, in words.
        Raises StaleState if it is open, or if a number is lost: its pair was released, or it is no longer rented.
        Also EndHasPassed and DuplicateReference, which are StaleState too.
        """
        with transaction.atomic():
            self.lock()
            self.close_if_over()
            now = database_now()
            times = self.restarted(now, end)
            current = self.participants.current()
            if current.unreleased().update(release_at=None) != current.count() or self._has_lost_a_number():
                raise StaleState(f"conversation {self.pk} has lost a number since it ended")
            with self._duplicate_on_integrity_error():
                self.transition(
                    ConversationState.OPEN,
                    reason=_because(reason, why),
                    actor=actor,
                    closed_at=None,
                    closed_reason="",
                    reopened_at=now,
                    **times,
                )
            self._announce(EventType.CONVERSATION_REOPENED, reason=reason)
        return self

    def change(self, *, actor: str = "", end: End | None = None, **values: Any) -> Self:
        """Change the end and other terms by name, idle_ttl among them. Only what is named here is written.

        Raises DuplicateReference, StaleState if it has ended and the change is of its times, and BlankReference
        if its reference is to be unique.
        """
        with transaction.atomic():
            self.lock()
            now = database_now()
            if (end is not None or "idle_ttl" in values) and not self.is_live(now):
                raise StaleState(f"conversation {self.pk} has ended")
            if values.get("is_reference_unique", self.is_reference_unique) and not values.get(
                "reference", self.reference
            ):
                raise BlankReference("expected a reference, which is to be unique")
            if "idle_ttl" in values:
                values |= idle_columns(values["idle_ttl"], now)
            if end is not None:
                values |= end.columns(now)
            changed = {name: value for name, value in values.items() if getattr(self, name) != value}
            if changed:
                self._write(changed, actor=actor)
        return self

    def extend(self, seconds: int, *, actor: str = "", why: str = "") -> Self:
        """Move its end later. Its ttl stays. why: for staff, in words. Raises StaleState if it has ended or never ends.

        Raises EndTooLate if the new end would be more than MAX_AHEAD from now.
        """
        with transaction.atomic():
            self.lock()
            now = database_now()
            if not self.is_live(now) or self.expires_at is None:
                raise StaleState(f"conversation {self.pk} has ended, or never ends by a ttl")
            later = timedelta(seconds=seconds)
            if self.expires_at > now + MAX_AHEAD - later:  # A stored end plus `later` may be after the year 9999.
                raise EndTooLate(f"expected an end at most {MAX_AHEAD.days} days from now")
            self._write({"expires_at": self.expires_at + later}, actor=actor, why=why)
        return self

    def _write(self, changed: dict[str, Any], *, actor: str, why: str = "") -> None:
        """Write these columns, and events that name them."""
        with self._duplicate_on_integrity_error():
            if Conversation.objects.filter(pk=self.pk, state=self.state).update(**changed) != 1:
                raise StaleState(f"conversation {self.pk} is no longer {self.state}")
        reason = _because(f"changed: {', '.join(changed)}", why)
        self.record_event(self.state, old_state=self.state, reason=reason, actor=actor)
        announce_change(self.pk, self.service_id, columns=changed)
        for field, value in changed.items():
            setattr(self, field, value)

    @contextmanager
    def _duplicate_on_integrity_error(self) -> Iterator[None]:
        """Raise DuplicateReference if the constraint `one_open_conversation_of_a_reference` rejects the change."""
        try:
            with transaction.atomic():
                yield
        except IntegrityError:
            raise DuplicateReference(f"the reference of conversation {self.pk} is taken") from None

    def _has_lost_a_number(self) -> bool:
        """Return whether a participant's pair was released or their number is no longer rented."""
        is_lost = models.Q(released_at__isnull=False) | models.Q(proxy_number__is_rented=False)
        return self.participants.current().filter(is_lost).exists()

    def lock(self) -> None:
        """Lock the row until the transaction ends, and reload it. See conversation_lock.py for the order of locks."""
        self.refresh_from_db(from_queryset=Conversation.objects.locked())


def _because(reason: str, why: str) -> str:
    return f"{reason}: {why}" if why else reason


class ConversationEvent(Event):
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

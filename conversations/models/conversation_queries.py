"""Sets of conversations: open, ended, on hold, and what is loaded or annotated with them."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.apps import apps
from django.db import models

from smsproxy.database.clock import DatabaseNow

from .conversation_lock import LockableQuerySet
from .conversation_state import ConversationState
from .conversation_terms import time_is_up

if TYPE_CHECKING:
    from .conversation import Conversation  # noqa: F401  (in the base class below)


class ConversationQuerySet(LockableQuerySet["Conversation"]):
    def open_now(self) -> Self:
        """Return conversations whose participants may text each other now."""
        unexpired = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=DatabaseNow())
        awake = models.Q(idle_at__isnull=True) | models.Q(idle_at__gt=DatabaseNow())
        return self.filter(unexpired, awake, state=ConversationState.OPEN)

    def with_participants(self) -> Self:
        """Prefetch participants and their numbers, one query for each relation."""
        from .participant import Participant  # It imports this module, as its rows point here.

        current = Participant.objects.current()
        return self.select_related("pool").prefetch_related(
            models.Prefetch("participants", current, to_attr="loaded_participants"),
            "loaded_participants__real_number",
            "loaded_participants__proxy_number",
        )

    def with_participant(self, **values: Any) -> Self:
        """Return conversations that a participant with these values is in now."""
        from .participant import Participant

        return self.filter(pk__in=Participant.objects.current().filter(**values).values("conversation"))

    def with_failed_confirmations(self) -> Self:
        """Annotate each with `notify_failed`: a confirmation did not reach a phone that is in the conversation."""
        messages: Any = apps.get_model("conversations.OutboundMessage")  # Its module imports this one.
        here = {"conversation": models.OuterRef("pk"), "participant__removed_at": None}
        failed = messages.objects.failed_confirmations().filter(**here)
        return self.annotate(notify_failed=models.Exists(failed))

    def ended(self) -> Self:
        """Return conversations that are closed, or whose time is up."""
        return self.filter(models.Q(state=ConversationState.CLOSED) | time_is_up(DatabaseNow()))

    def on_hold(self) -> Self:
        """Return open conversations on hold, the longest-held first."""
        return self.filter(state=ConversationState.OPEN, held_at__isnull=False).order_by("held_at")

    def expired(self, at: datetime) -> Self:
        """Return conversations stored as open whose ttl is over."""
        return self.filter(state=ConversationState.OPEN, expires_at__lte=at).order_by("expires_at")

    def idle(self, at: datetime) -> Self:
        """Return conversations stored as open in which nobody wrote for idle_ttl."""
        return self.filter(state=ConversationState.OPEN, idle_at__lte=at).order_by("idle_at")

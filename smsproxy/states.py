"""State changes: a conditional UPDATE that must change one row, plus an event row, in one transaction.

The meaning of each state is at its definition in the models, such as `OutboundState` in models/outbound.py.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _


class StaleState(Exception):
    """A concurrent change came first (optimistic locking), or the state does not allow this change."""


class Event(models.Model):
    """An append-only record of one state change. The subclass adds the foreign key, with related_name "events"."""

    old_state = models.CharField(max_length=20, blank=True)
    new_state = models.CharField(max_length=20)
    reason = models.CharField(max_length=200, help_text="The reason in words, without real numbers or texts.")
    actor = models.CharField(
        max_length=150, blank=True, help_text="The member of staff or the API key. Empty: the system."
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        first = _("(new)")
        return f"{self.old_state or first} → {self.new_state}: {self.reason}"


class StateMachine(models.Model):
    """A model with a `state`, the allowed changes of it, and one event row for each change."""

    ALLOWED: ClassVar[Mapping[str, frozenset[str]]]
    state: Any
    events: Any

    class Meta:
        abstract = True

    def transition(
        self, to: str, *, reason: str, actor: str = "", announce: Callable[[], None] | None = None, **changes: Any
    ) -> Self:
        """Change the state, and other fields with it, if the row is still in the state of this object.

        Return this object with the new values. Raises StaleState: the row was changed concurrently, or ALLOWED does
        not contain this change. announce: called in the same transaction, after the change of the row.
        """
        if to not in self.ALLOWED[self.state]:
            raise StaleState(f"{self._meta.verbose_name_raw} {self.pk} cannot go from {self.state} to {to}")
        with transaction.atomic():
            rows = type(self)._default_manager.filter(pk=self.pk, state=self.state).update(state=to, **changes)
            if rows != 1:
                raise StaleState(f"{self._meta.verbose_name_raw} {self.pk} is no longer {self.state}")
            self.record_event(to, reason=reason, actor=actor, old_state=self.state)
            if announce is not None:
                announce()
        for field, value in {"state": to, **changes}.items():
            setattr(self, field, value)
        return self

    def record_event(self, new_state: str, *, reason: str, actor: str = "", old_state: str = "") -> None:
        """Append an event. A reason longer than the column is cut."""
        self.events.create(old_state=old_state, new_state=new_state, reason=reason[:200], actor=actor)

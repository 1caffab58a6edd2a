"""What staff do about something in the inbox: who has taken it, and how it ended.

A row is written when somebody takes or settles an item, never when it begins to wait: receiving a text writes nothing
more. Whether an item still waits is read from its own row, so an item that settles itself leaves the inbox.
"""

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from smsproxy.database.clock import database_now
from smsproxy.states import StaleState

from .conversation import Conversation
from .inbound import InboundMessage
from .outbound import OutboundMessage

InboxRow = InboundMessage | OutboundMessage | Conversation


class InboxKind(models.TextChoices):
    TEXT = "text", _("text without a conversation")
    """The texts of one person to one of our numbers that no conversation has, or that nobody can read."""
    UNKNOWN = "unknown", _("perhaps sent")
    """An outbound message with an unknown outcome, which staff must decide."""
    HOLD = "hold", _("on hold")
    """An open conversation on hold."""


FIELD_OF = {InboxKind.TEXT: "inbound", InboxKind.UNKNOWN: "outbound", InboxKind.HOLD: "conversation"}


class InboxOutcome(models.TextChoices):
    ATTACHED = "attached", _("passed on")
    ANSWERED = "answered", _("answered")
    DISMISSED = "dismissed", _("dismissed")
    BLOCKED = "blocked", _("sender blocked")
    RESENT = "resent", _("sent again")
    DROPPED = "dropped", _("not sent")
    RELEASED = "released", _("hold released")


def _owner(row: InboxRow) -> dict[str, Any]:
    field = {InboundMessage: "inbound", OutboundMessage: "outbound", Conversation: "conversation"}[type(row)]
    return {field: row}


class InboxItemQuerySet(models.QuerySet["InboxItem"]):
    def taken(self) -> Self:
        """Return the items that somebody has taken and not settled. One of an earlier wait may be among them."""
        return self.filter(done_at__isnull=True).exclude(taken_by="")

    def taken_since(self, since: "datetime | models.OuterRef") -> Self:
        """Return the items that somebody has taken since then: the moment since which the item waits."""
        return self.taken().filter(taken_at__gte=since)

    def holder(self, row: InboxRow, since: datetime) -> str:
        """Return the user name of who has taken it, or ""."""
        found = self.taken_since(since).filter(**_owner(row)).values_list("taken_by", flat=True).first()
        return found or ""

    def take(self, row: InboxRow, *, since: datetime, actor: str) -> None:
        """Take the item. Raises StaleState if somebody has taken it already."""
        self._take(row, models.Q(taken_by="") | models.Q(done_at__isnull=False) | models.Q(taken_at__lt=since), actor)

    def take_over(self, row: InboxRow, *, holder: str, actor: str) -> None:
        """Take the item from this member of staff. Raises StaleState if it is no longer theirs."""
        self._take(row, models.Q(taken_by=holder, done_at__isnull=True), actor)

    def give_back(self, row: InboxRow, *, actor: str) -> None:
        """Let others take the item. Raises StaleState if the actor does not have it."""
        mine = self.taken().filter(taken_by=actor, **_owner(row))
        if mine.update(taken_by="", taken_at=None) != 1:
            raise StaleState(f"{row} is not taken by its member of staff")

    def finish(self, row: InboxRow, outcome: InboxOutcome, *, actor: str) -> None:
        """Record how the item ended, in the transaction of the act that ended it."""
        self.update_or_create(**_owner(row), defaults={"done_at": database_now(), "done_by": actor, "outcome": outcome})

    def _take(self, row: InboxRow, condition: models.Q, actor: str) -> None:
        with transaction.atomic():
            item, _ = self.get_or_create(**_owner(row))
            free = self.filter(condition, pk=item.pk)
            changes = {"taken_by": actor, "taken_at": database_now(), "done_at": None, "done_by": "", "outcome": ""}
            if free.update(**changes) != 1:
                raise StaleState(f"{row} is taken by another member of staff")


class InboxItem(models.Model):
    """One thing that waited for a person, once somebody has taken or settled it."""

    inbound = models.OneToOneField(
        InboundMessage,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="inbox_item",
        db_constraint=False,
        help_text=_("The oldest waiting text of its sender to that number."),
    )
    outbound = models.OneToOneField(
        OutboundMessage, models.PROTECT, null=True, blank=True, related_name="inbox_item", db_constraint=False
    )
    conversation = models.OneToOneField(
        Conversation, models.PROTECT, null=True, blank=True, related_name="inbox_item", db_constraint=False
    )
    taken_by = models.CharField(_("taken by"), max_length=150, blank=True)
    taken_at = models.DateTimeField(_("taken at"), null=True, blank=True)
    done_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    done_by = models.CharField(_("settled by"), max_length=150, blank=True)
    outcome = models.CharField(_("outcome"), max_length=20, blank=True, choices=InboxOutcome.choices)
    created_at = models.DateTimeField(default=database_now)

    objects = InboxItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("inbox item")
        verbose_name_plural = _("inbox items")
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(inbound__isnull=False, outbound__isnull=True, conversation__isnull=True)
                | models.Q(inbound__isnull=True, outbound__isnull=False, conversation__isnull=True)
                | models.Q(inbound__isnull=True, outbound__isnull=True, conversation__isnull=False),
                name="inbox_item_of_one_row",
            )
        ]
        indexes: ClassVar = [
            # For what a member of staff has taken.
            models.Index(
                "taken_by",
                condition=models.Q(done_at__isnull=True) & ~models.Q(taken_by=""),
                name="inbox_item_taken",
            )
        ]

    def __str__(self) -> str:
        return gettext("inbox item %(id)s") % {"id": self.pk}

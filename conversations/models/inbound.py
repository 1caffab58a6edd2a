"""Inbound messages (MO): what people sent to our numbers, each with its outcome."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from numbers.models import RealNumber, VirtualNumber
from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import database_now
from smsproxy.metrics.counting import count
from smsproxy.metrics.families import RECEIVED
from smsproxy.unreadable import EncryptedRow

from .message_order import ID_IN_ORDER
from .participant import Participant


class InboundOutcome(models.TextChoices):
    RELAYED = "relayed", _("relayed")
    """Queued for the other participants."""
    ENDED = "ended", _("conversation ended")
    """The conversation has ended. Its numbers are still cooling down."""
    NO_ROUTE = "no_route", _("no route")
    """No conversation has this pair of numbers."""
    PART = "part", _("part of a long message")
    """Stored until the other parts arrive, or LONG_MESSAGE_TIMEOUT_SECONDS is over. The joined text is another row."""
    DUPLICATE_PART = "duplicate_part", _("repeated part")
    """This part of the long message is stored already."""
    TOO_LONG = "too_long", _("too long")
    """Relaying it would take more than MAX_SEGMENTS. Its sender got a notice."""
    EMPTY = "empty", _("empty")
    """There is nothing to relay."""
    KEYWORD = "keyword", _("keyword")
    """The whole text was STOP, START or HELP, in one of their spellings. It was answered, not relayed."""
    OPTED_OUT = "opted_out", _("opted out")
    """Its sender, or everybody who would have received it, has opted out with STOP."""
    BLOCKED = "blocked", _("blocked")
    """Staff blocked its sender, or the pair of its sender and its recipient."""
    LIMITED = "limited", _("over a limit")
    """Its sender or its conversation has sent too much for now. Its text is stored, and nobody receives it."""
    HELD = "held", _("conversation on hold")
    """The loop breaker, or staff, put its conversation on hold. Its text is stored, and nobody receives it."""
    ONE_WAY = "one_way", _("from a one-way participant")
    """Its sender only receives messages. Its text is stored, and nobody receives it."""
    REACTION = "reaction", _("reaction")
    """A phone's reaction to a message, such as “Liked “…””, which the setting REACTIONS drops."""
    LOOP = "loop", _("from ourselves")
    """The sender is a virtual number of ours. A reply could cause an endless loop."""
    UNDECODABLE = "undecodable", _("undecodable")
    """Signed, but of an unknown shape. The raw body is stored."""


# Texts of these outcomes wait for staff, in the inbox, for so long.
IN_INBOX = (InboundOutcome.NO_ROUTE, InboundOutcome.UNDECODABLE)
IN_INBOX_FOR = timedelta(days=14)
_WAITING = models.Q(outcome__in=[outcome.value for outcome in IN_INBOX], settled_at__isnull=True)


class InboundMessageQuerySet(models.QuerySet["InboundMessage"]):
    def waiting(self, at: datetime) -> Self:
        """Return the texts that wait for staff at this time: without a conversation, not settled and not too old."""
        return self.filter(_WAITING, received_at__gte=at - IN_INBOX_FOR)

    def like(self, message: "InboundMessage") -> Self:
        """Return the texts of its sender to its virtual number. Without one of the two: only the message itself."""
        if message.sender_id is None or message.virtual_number_id is None:
            return self.filter(pk=message.pk)
        return self.filter(sender=message.sender_id, virtual_number=message.virtual_number_id)

    def record(self, message: "InboundMessage") -> bool:
        """Store the message. Return False if its carrier message id is stored already."""
        try:
            with transaction.atomic():
                message.save(force_insert=True)
        except IntegrityError:
            if self.filter(carrier_message_id=message.carrier_message_id).exists():
                return False
            raise
        # At the commit: until then the outcome may change.
        transaction.on_commit(lambda: count(RECEIVED, outcome=str(message.outcome)))
        return True


class LongMessageQuerySet(models.QuerySet["LongMessage"]):
    def due(self, at: datetime) -> Self:
        """Return open long messages whose time for missing parts is over."""
        return self.filter(closed_at__isnull=True, due_at__lte=at).order_by("due_at")


class LongMessage(models.Model):
    """A text that arrives in several parts. Each part is an inbound message; the joined text is relayed as one."""

    sender = models.ForeignKey(RealNumber, models.PROTECT, related_name="long_messages")
    virtual_number = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="long_messages")
    concat_ref = models.CharField(max_length=20, help_text="The phone's reference (UDH): a small counter that repeats.")
    parts = models.PositiveSmallIntegerField(help_text="The number of its parts.")
    due_at = models.DateTimeField(help_text="The time at which it is relayed without its missing parts.")
    closed_at = models.DateTimeField(null=True, blank=True, help_text="The time at which it was relayed.")

    objects = LongMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["sender", "virtual_number", "concat_ref", "parts"],
                condition=models.Q(closed_at__isnull=True),
                name="one_open_long_message",
            )
        ]
        indexes = [
            # For the periodic job that relays incomplete ones.
            models.Index("due_at", condition=models.Q(closed_at__isnull=True), name="long_text_due")
        ]

    def __str__(self) -> str:
        return gettext("long text %(id)s") % {"id": self.pk}

    def received_parts(self) -> InboundMessageQuerySet:
        """Return the parts that have arrived, each once."""
        return InboundMessage.objects.filter(long_message=self, outcome=InboundOutcome.PART)


class InboundMessage(EncryptedRow):
    """A message to one of our numbers (MO), stored once with its outcome.

    It never changes, except in the inbox: staff pass on or settle a text without a conversation.
    """

    carrier_message_id = models.CharField(max_length=80, help_text="The carrier's id. Each is stored once.")
    outcome = models.CharField(max_length=20, choices=InboundOutcome.choices)
    reason = models.CharField(
        max_length=200, blank=True, help_text="The reason for the outcome, if the outcome does not say it."
    )
    sender = models.ForeignKey(RealNumber, models.PROTECT, null=True, blank=True, related_name="inbound_messages")
    # No separate index: `inbound_of_number` begins with this column.
    virtual_number = models.ForeignKey(
        VirtualNumber, models.PROTECT, null=True, blank=True, related_name="inbound_messages", db_index=False
    )
    # No separate index: `inbound_of_participant` begins with this column.
    participant = models.ForeignKey(
        Participant,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="inbound_messages",
        help_text="The author.",
        db_index=False,
    )
    text = EncryptedTextField(blank=True)
    raw = EncryptedTextField(blank=True, help_text="The whole webhook, if its values do not fit into these fields.")
    concat_ref = models.CharField(
        max_length=20, blank=True, help_text="The reference that all parts of a long message share."
    )
    part = models.PositiveSmallIntegerField(default=1)
    parts = models.PositiveSmallIntegerField(default=1)
    long_message = models.ForeignKey(
        LongMessage,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="messages",
        help_text="The long message of this part.",
    )
    missing_parts = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="The number of parts of a long message that never arrived."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="The carrier's own time of the message.")
    received_at = models.DateTimeField(default=database_now)
    settled_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then it no longer waits in the inbox: staff answered or dismissed it."
    )

    objects = InboundMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        # Not `unique=True`, which adds a second index for LIKE on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["carrier_message_id"], name="once_in_once")]
        indexes: ClassVar = [
            models.Index("participant", ID_IN_ORDER, name="inbound_of_participant"),
            # For staff: the newest texts to a virtual number, those of a person without a conversation, and those of
            # each outcome but the usual one.
            models.Index("virtual_number", ID_IN_ORDER, name="inbound_of_number"),
            models.Index(
                "sender", ID_IN_ORDER, condition=models.Q(outcome=InboundOutcome.NO_ROUTE), name="inbound_of_stranger"
            ),
            models.Index(
                "outcome", "id", condition=~models.Q(outcome=InboundOutcome.RELAYED), name="inbound_not_relayed"
            ),
            # For the inbox: in order of time, and the texts of one person to one number.
            models.Index("received_at", "id", condition=_WAITING, name="inbound_waiting"),
            models.Index("sender", "virtual_number", "id", condition=_WAITING, name="inbound_waiting_of"),
        ]
        permissions: ClassVar = [("read_message_text", "Can read the texts of messages")]

    def __str__(self) -> str:
        return gettext("inbound message %(id)s") % {"id": self.pk}

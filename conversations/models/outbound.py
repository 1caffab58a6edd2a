"""The outbox: every text that we send, before, while and after we send it."""

import uuid
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import OutgoingText, ReceiptStatus
from smsproxy.crypto import EncryptedTextField
from smsproxy.states import Event, StaleState, Stateful

from .conversation import Conversation, Participant
from .inbound import InboundMessage


class Kind(models.TextChoices):
    RELAY = "relay", "relay"
    """Passes on an inbound message."""
    NOTICE = "notice", "notice"
    """A text of our own: a confirmation, or word that nobody was reached."""


class OutboundState(models.TextChoices):
    QUEUED = "queued", "queued"
    """Waits for its time (`due_at`) and for the earlier messages of its line."""
    SENDING = "sending", "sending"
    """A worker has it, until `lease_until`. Committed before the carrier is called."""
    SENT = "sent", "sent"
    """The carrier accepted it."""
    DELIVERED = "delivered", "delivered"
    """Every part reached the phone, the carrier says."""
    UNDELIVERED = "undelivered", "undelivered"
    """The carrier accepted it and then gave it up, in whole or in part."""
    FAILED = "failed", "failed"
    """Refused for good, or too old. If an earlier attempt has arrived after all, its receipt still says so."""
    UNKNOWN = "unknown", "unknown"
    """Perhaps sent: we never heard back. Until `due_at` a receipt may settle it, then UNKNOWN_POLICY does."""
    CANCELLED = "cancelled", "cancelled"
    """Staff decided not to send it (any more). A receipt of an earlier attempt still counts."""


_S = OutboundState


def new_client_ref() -> str:
    return uuid.uuid4().hex


# Of what became of several attempts.
_BEST_FIRST = [_S.DELIVERED, _S.SENT, _S.UNDELIVERED]


class OutboundMessageQuerySet(models.QuerySet["OutboundMessage"]):
    def heads(self, at: datetime) -> Self:
        """Queued, due, and first of their line: the only ones that may be sent now, so that lines stay in order."""
        earlier = OutboundMessage.objects.filter(
            # Written like the condition of the index outbound_line, so that PostgreSQL sees that it serves.
            state__in=[_S.QUEUED, _S.SENDING, _S.UNKNOWN],
            sender=models.OuterRef("sender"),
            recipient=models.OuterRef("recipient"),
            pk__lt=models.OuterRef("pk"),
        )
        if settings.UNKNOWN_POLICY == "hold":
            # After its time it waits for staff, and the line goes on. Else it will be queued again, in its old place.
            earlier = earlier.filter(~models.Q(state=_S.UNKNOWN) | models.Q(due_at__gt=at))
        return self.filter(state=_S.QUEUED, due_at__lte=at).exclude(models.Exists(earlier)).order_by("pk")

    def claim(self, limit: int) -> list["OutboundMessage"]:
        """Take up to `limit` heads of lines for this worker: `sending`, for LEASE seconds, committed on return.

        They come without what is encrypted: one that cannot be decrypted must not keep the others from being claimed.
        """
        now = timezone.now()
        lease_until = now + timedelta(seconds=settings.LEASE)
        with transaction.atomic():
            heads = self.heads(now)
            if connection.features.has_select_for_update_skip_locked:
                heads = heads.select_for_update(skip_locked=True, of=("self",))
            messages: list[OutboundMessage] = list(heads.defer("text")[:limit])
            for message in messages:
                message.attempts += 1
                message.move(
                    _S.SENDING, reason=f"attempt {message.attempts}", attempts=message.attempts, lease_until=lease_until
                )
        return messages

    def in_full(self, pks: list[int]) -> Self:
        """These, with all that sending them takes. Raises ImproperlyConfigured: one of them cannot be decrypted."""
        return self.filter(pk__in=pks).select_related("sender", "recipient", "participant").order_by("pk")

    def with_expired_lease(self, at: datetime) -> Self:
        """Their worker is gone, or so late that nobody can rely on it."""
        return self.filter(state=_S.SENDING, lease_until__lte=at).defer("text").order_by("lease_until")

    def to_settle(self, at: datetime) -> Self:
        """Unknown, not too old to be sent again, and the time for a receipt to settle them is over."""
        oldest = at - timedelta(seconds=settings.MESSAGE_MAX_AGE)
        return self.filter(state=_S.UNKNOWN, due_at__lte=at, created_at__gt=oldest).defer("text").order_by("due_at")

    def unfinished(self) -> Self:
        return self.filter(state__in=[_S.QUEUED, _S.SENDING])


class OutboundMessage(Stateful):
    """A text from a virtual number to a real number (MT). The row exists before the carrier is called.

    A line is all messages from one virtual number to one person; they leave in the order of their ids.
    """

    ALLOWED: ClassVar = {
        # From `queued`, `failed` or `cancelled` to a state of a sent message: a receipt told, after all, of an earlier
        # attempt.
        _S.QUEUED: frozenset({_S.SENDING, _S.FAILED, _S.CANCELLED, _S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
        _S.SENDING: frozenset({_S.SENT, _S.QUEUED, _S.FAILED, _S.UNKNOWN, _S.DELIVERED, _S.UNDELIVERED}),
        _S.SENT: frozenset({_S.DELIVERED, _S.UNDELIVERED}),
        _S.UNKNOWN: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
        _S.DELIVERED: frozenset(),
        _S.UNDELIVERED: frozenset(),
        _S.FAILED: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
        _S.CANCELLED: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
    }

    client_ref = models.CharField(
        max_length=32, unique=True, default=new_client_ref, help_text="Our id; receipts repeat it, with the attempt."
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=OutboundState.choices, default=OutboundState.QUEUED)
    inbound = models.ForeignKey(InboundMessage, models.PROTECT, null=True, blank=True, related_name="relays")
    conversation = models.ForeignKey(Conversation, models.PROTECT, null=True, blank=True, related_name="messages")
    participant = models.ForeignKey(
        Participant, models.PROTECT, null=True, blank=True, related_name="messages", help_text="Whom it is for."
    )
    sender = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="messages")
    recipient = models.ForeignKey(RealNumber, models.PROTECT, related_name="messages")
    text = EncryptedTextField()
    segments = models.PositiveSmallIntegerField(help_text="SMS that the text takes, by our own count.")
    part_count = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="SMS that it took, by the carrier's count; empty until the carrier answered."
    )
    once_key = models.CharField(
        max_length=100, null=True, blank=True, unique=True, help_text="Keeps a notice from being sent twice a day."
    )
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, help_text="When to try, or, while unknown, when to settle it.")
    lease_until = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=20, blank=True, help_text="The carrier's code for the last fault.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = OutboundMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["inbound", "participant"], name="relayed_once_to_each")]
        indexes = [
            # The worker's claim: queued rows in order ...
            models.Index("id", condition=models.Q(state="queued"), name="outbound_queued"),
            # ... and whether an earlier one of the same line is in their way.
            models.Index(
                "sender",
                "recipient",
                "id",
                condition=models.Q(state__in=["queued", "sending", "unknown"]),
                name="outbound_line",
            ),
            # The sweeps: expired leases, and unknown outcomes whose time is up.
            models.Index("lease_until", condition=models.Q(state="sending"), name="outbound_leased"),
            models.Index("due_at", condition=models.Q(state="unknown"), name="outbound_unknown"),
        ]

    def __str__(self) -> str:
        return f"outbound message {self.pk}"

    def as_outgoing(self) -> OutgoingText:
        return OutgoingText(
            sender=self.sender.number,
            recipient=self.recipient.number,
            text=self.text,
            client_ref=f"{self.client_ref}.{self.attempts}",
        )

    def is_too_old(self, at: datetime) -> bool:
        return at - self.created_at > timedelta(seconds=settings.MESSAGE_MAX_AGE)

    def retry(self, *, after: float, reason: str, code: str = "") -> Self:
        """Back into the queue, at its old place. after: seconds."""
        due_at = timezone.now() + timedelta(seconds=after)
        return self.move(_S.QUEUED, reason=reason, due_at=due_at, lease_until=None, error_code=code)

    def fail(self, *, reason: str, code: str = "") -> Self:
        return self.move(_S.FAILED, reason=reason, lease_until=None, error_code=code)

    def lose_track(self, *, reason: str) -> Self:
        """Nobody knows whether it was sent. It is not sent again unless a policy or a person says so."""
        due_at = timezone.now() + timedelta(seconds=settings.UNKNOWN_AFTER)
        return self.move(_S.UNKNOWN, reason=reason, due_at=due_at, lease_until=None)

    def resend(self, *, reason: str, actor: str = "") -> Self:
        """From `unknown`: send it again, though it may arrive twice."""
        if self.state != _S.UNKNOWN:
            raise StaleState(f"outbound message {self.pk} is {self.state}: only an unknown outcome can be sent again")
        if self.is_too_old(timezone.now()):
            raise StaleState(f"outbound message {self.pk} is older than MESSAGE_MAX_AGE: it would not be sent")
        return self.move(_S.QUEUED, reason=reason, actor=actor, due_at=timezone.now())

    def cancel(self, *, reason: str, actor: str = "") -> Self:
        return self.move(_S.CANCELLED, reason=reason, actor=actor)

    def follow_parts(self) -> None:
        """Draw the message's state from what is known of its parts. The caller holds the row's lock.

        An attempt is delivered only when all its parts are, and undelivered as soon as one is. Of several attempts the
        best counts. Any word of a part proves that it was sent.
        """
        attempts: dict[int, list[OutboundPart]] = {}
        for part in self.parts.all():
            attempts.setdefault(part.attempt, []).append(part)
        if not attempts:
            return
        outcomes = [self._outcome(parts) for parts in attempts.values()]
        to, code = min(outcomes, key=lambda outcome: _BEST_FIRST.index(outcome[0]))
        if to in self.ALLOWED[self.state]:
            self.move(to, reason="the carrier's word on its parts", lease_until=None, error_code=code)

    def _outcome(self, parts: "list[OutboundPart]") -> tuple[OutboundState, str]:
        """What became of one attempt, and the carrier's code for it."""
        for part in parts:
            if part.status == ReceiptStatus.UNDELIVERED:
                return _S.UNDELIVERED, part.error_code
        delivered = sum(part.status == ReceiptStatus.DELIVERED for part in parts)
        return (_S.DELIVERED if delivered >= (self.part_count or self.segments) else _S.SENT), ""


class OutboundPart(models.Model):
    """One SMS of a message, as the carrier counts them."""

    message = models.ForeignKey(OutboundMessage, models.CASCADE, related_name="parts")
    attempt = models.PositiveIntegerField(default=1, help_text="The attempt to send the message that it belongs to.")
    carrier_message_id = models.CharField(max_length=80, unique=True)
    status = models.CharField(
        max_length=20,
        choices=[(status.value, status.value) for status in ReceiptStatus],
        default=ReceiptStatus.UNKNOWN.value,
    )
    error_code = models.CharField(max_length=20, blank=True)
    price = models.DecimalField(max_digits=10, decimal_places=5, null=True, blank=True, help_text="EUR.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"part {self.carrier_message_id}"


class MessageEvent(Event):
    message = models.ForeignKey(OutboundMessage, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

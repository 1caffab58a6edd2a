"""The outbox: every text that we send, before, while and after we send it."""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers.base import OutgoingText, ReceiptStatus
from smsproxy.crypto import EncryptedTextField, decrypt
from smsproxy.states import Event, StaleState, StateMachine

from .conversation import Conversation
from .inbound import InboundMessage
from .participant import Participant

if TYPE_CHECKING:
    from .pace import NumberRateLimit


class MessageKind(models.TextChoices):
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
    """Perhaps sent: we never heard back. Until `due_at` a receipt may settle it, then UNKNOWN_OUTCOME_POLICY does."""
    CANCELLED = "cancelled", "cancelled"
    """Staff decided not to send it (any more). A receipt of an earlier attempt still counts."""


_S = OutboundState
# So often a text of unknown outcome is sent again by UNKNOWN_OUTCOME_POLICY. Then it is for staff to decide, as with `hold`.
MAX_RESENDS = 3


def new_client_ref() -> str:
    return uuid.uuid4().hex


# Of what became of several attempts.
_BEST_FIRST = [_S.DELIVERED, _S.SENT, _S.UNDELIVERED]


class OutboundMessageQuerySet(models.QuerySet["OutboundMessage"]):
    def with_ciphertext(self) -> Self:
        """With all that sending them takes, but still encrypted: one that cannot be read must not keep the others back.

        `unseal` opens one.
        """
        return (
            self.select_related("sender")
            .annotate(
                sealed_text=models.ExpressionWrapper(models.F("text"), models.TextField()),
                sealed_number=models.ExpressionWrapper(models.F("recipient__number"), models.TextField()),
                released_at=models.F("participant__released_at"),
            )
            .only(
                "client_ref",
                "state",
                "attempts",
                "segments",
                "created_at",
                "recipient_id",
                "sender__number",
                "sender__country",
                "sender__rate",
                "sender__state",
            )
        )

    def with_expired_lease(self, at: datetime) -> Self:
        """Their worker is gone, or so late that nobody can rely on it."""
        return self.filter(state=_S.SENDING, lease_until__lte=at).defer("text").order_by("lease_until")

    def due_for_resend(self, at: datetime) -> Self:
        """Unknown, worth sending again, and the time for a receipt to settle them is over."""
        late = self.filter(self._worth_resending(at), state=_S.UNKNOWN, due_at__lte=at)
        return late.defer("text").order_by("due_at")

    def awaiting_decision(self, at: datetime) -> Self:
        """Unknown, and left to staff: the time for a receipt is over, and UNKNOWN_OUTCOME_POLICY does not send them again."""
        late = self.filter(state=_S.UNKNOWN, due_at__lte=at)
        return late.exclude(self._worth_resending(at)) if settings.UNKNOWN_OUTCOME_POLICY == "resend" else late

    def too_old(self, at: datetime) -> Self:
        """Queued, and not worth sending any more."""
        oldest = at - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)
        return self.filter(state=_S.QUEUED, created_at__lt=oldest).defer("text").order_by("created_at")

    @staticmethod
    def _worth_resending(at: datetime) -> models.Q:
        """Not too old, and not sent again too often already. The claim (claiming.py) says the same in SQL."""
        oldest = at - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)
        return models.Q(created_at__gt=oldest, resends__lt=MAX_RESENDS)

    def unfinished(self) -> Self:
        return self.filter(state__in=[_S.QUEUED, _S.SENDING])


class OutboundMessage(StateMachine):
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
        # One attempt was given up; another arrived after all.
        _S.UNDELIVERED: frozenset({_S.SENT, _S.DELIVERED}),
        _S.FAILED: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
        _S.CANCELLED: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
    }

    client_ref = models.CharField(
        max_length=32, default=new_client_ref, help_text="Our id. Receipts repeat it, with the attempt."
    )
    kind = models.CharField(max_length=20, choices=MessageKind.choices)
    state = models.CharField(max_length=20, choices=OutboundState.choices, default=OutboundState.QUEUED)
    # Without an index of its own: that of `relayed_once_to_each` begins with it.
    inbound = models.ForeignKey(
        InboundMessage, models.PROTECT, null=True, blank=True, related_name="relays", db_index=False
    )
    conversation = models.ForeignKey(Conversation, models.PROTECT, null=True, blank=True, related_name="messages")
    participant = models.ForeignKey(
        Participant,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="messages",
        help_text="The participant who receives it.",
    )
    # Without an index of its own, whose first column a claim could take for that of the partial ones below.
    sender = models.ForeignKey(VirtualNumber, models.PROTECT, related_name="messages", db_index=False)
    recipient = models.ForeignKey(RealNumber, models.PROTECT, related_name="messages")
    text = EncryptedTextField()
    segments = models.PositiveSmallIntegerField(help_text="The number of SMS that the text takes, by our own count.")
    part_count = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The number of SMS by the carrier's count. Empty until the carrier answers."
    )
    dedup_key = models.CharField(  # noqa: DJ001 - many have none, and NULLs are never equal
        max_length=100, null=True, blank=True, help_text="The key under which a notice is sent once."
    )
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Failed attempts, except faults of the number or the account."
    )
    resends = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="The number of times UNKNOWN_OUTCOME_POLICY sent it again.",
    )
    due_at = models.DateTimeField(
        default=timezone.now, help_text="The time of the next attempt or, if its outcome is unknown, of the decision."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=20, blank=True, help_text="The carrier's code for the last error.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = OutboundMessageQuerySet.as_manager()
    # What only the worker that has claimed it knows:
    is_probe = False  # In a pause of the account, it is the one text that tries.
    is_probe_of_number = False  # After a wait of its virtual number, too.
    pace: "NumberRateLimit | None" = None  # That of its virtual number.
    sealed_text = sealed_number = ""  # Still encrypted.
    released_at: datetime | None = None  # Since when its numbers may stand for other people.

    class Meta:
        ordering = ["-id"]
        # Not `unique=True`, which on PostgreSQL brings a second index, for LIKE.
        constraints = [
            models.UniqueConstraint(fields=["inbound", "participant"], name="relayed_once_to_each"),
            models.UniqueConstraint(fields=["client_ref"], name="one_client_ref"),
            models.UniqueConstraint(fields=["dedup_key"], name="unique_dedup_key"),
        ]
        indexes = [
            # The worker's claim: the virtual numbers that have queued rows, whose first is the oldest ...
            models.Index("sender", "id", condition=models.Q(state="queued"), name="outbound_waiting"),
            # ... and the lines of each, whose first says whether one may be sent.
            models.Index(
                "sender",
                "recipient",
                "id",
                condition=models.Q(state__in=["queued", "sending", "unknown"]),
                name="outbound_line",
            ),
            # The sweeps: what grew too old, expired leases, and unknown outcomes whose time is up.
            models.Index("created_at", condition=models.Q(state="queued"), name="outbound_aging"),
            models.Index("lease_until", condition=models.Q(state="sending"), name="outbound_leased"),
            models.Index("due_at", condition=models.Q(state="unknown"), name="outbound_unknown"),
        ]

    def __str__(self) -> str:
        return f"outbound message {self.pk}"

    @property
    def carrier_ref(self) -> str:
        """What the carrier repeats in the receipts of this attempt."""
        return f"{self.client_ref}.{self.attempts}"

    def decrypt(self) -> None:
        """Decrypt what `sealed` has read. Raises ImproperlyConfigured: no key of ours can."""
        self.text = decrypt(self.sealed_text)
        self.recipient = RealNumber(pk=self.recipient_id, number=decrypt(self.sealed_number))

    def as_outgoing(self) -> OutgoingText:
        return OutgoingText(
            sender=self.sender.number,
            recipient=self.recipient.number,
            text=self.text,
            client_ref=self.carrier_ref,
        )

    @property
    def claimed_at(self) -> datetime:
        """When the worker that has it took it."""
        if self.lease_until is None:
            raise ValueError("it is not claimed")
        return self.lease_until - timedelta(seconds=settings.SEND_LEASE_SECONDS)

    def is_too_old(self, at: datetime) -> bool:
        return at - self.created_at > timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)

    def retry(self, *, after: float, reason: str, code: str = "", is_failure: bool = False) -> Self:
        """Back into the queue, at its old place. after: seconds. is_failure: of the message itself."""
        due_at = timezone.now() + timedelta(seconds=after)
        failures = self.failures + 1 if is_failure else self.failures
        return self.transition(
            _S.QUEUED, reason=reason, due_at=due_at, lease_until=None, error_code=code, failures=failures
        )

    def fail(self, *, reason: str, code: str = "") -> Self:
        return self.transition(_S.FAILED, reason=reason, lease_until=None, error_code=code)

    def mark_unknown(self, *, reason: str) -> Self:
        """Nobody knows whether it was sent. It is not sent again unless a policy or a person says so."""
        due_at = timezone.now() + timedelta(seconds=settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS)
        return self.transition(_S.UNKNOWN, reason=reason, due_at=due_at, lease_until=None)

    def resend(self, *, reason: str, actor: str = "") -> Self:
        """From `unknown`: send it again, though it may arrive twice."""
        if self.state != _S.UNKNOWN:
            raise StaleState(f"outbound message {self.pk} is {self.state}: only an unknown outcome can be sent again")
        if self.is_too_old(timezone.now()):
            raise StaleState(f"outbound message {self.pk} is older than MESSAGE_MAX_AGE_SECONDS: it would not be sent")
        resends = self.resends if actor else self.resends + 1
        return self.transition(_S.QUEUED, reason=reason, actor=actor, due_at=timezone.now(), resends=resends)

    def cancel(self, *, reason: str, actor: str = "") -> Self:
        return self.transition(_S.CANCELLED, reason=reason, actor=actor)

    def update_from_parts(self) -> None:
        """Draw the message's state from what is known of its parts. The caller holds the row's lock.

        An attempt is delivered only when all its parts are, and undelivered as soon as one is. Of several attempts the
        best counts. Any word of a part proves that it was sent.
        """
        attempts: dict[int, list[OutboundPart]] = {}
        for part in self.parts.all():
            attempts.setdefault(part.attempt, []).append(part)
        if not attempts:
            return
        to, code = min(map(self._outcome, attempts.values()), key=lambda outcome: _BEST_FIRST.index(outcome[0]))
        is_still_trying = self.state in (_S.QUEUED, _S.SENDING, _S.UNKNOWN)
        if to == _S.UNDELIVERED and is_still_trying and max(attempts) < self.attempts:
            return  # That an earlier attempt was in vain says nothing of the one under way.
        if to in self.ALLOWED[self.state]:
            self.transition(to, reason="delivery receipt", lease_until=None, error_code=code)

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
    attempt = models.PositiveIntegerField(default=1, help_text="The attempt that this part belongs to.")
    carrier_message_id = models.CharField(max_length=80)
    status = models.CharField(
        max_length=20,
        choices=[(status.value, status.value) for status in ReceiptStatus],
        default=ReceiptStatus.UNKNOWN.value,
    )
    error_code = models.CharField(max_length=20, blank=True)
    price = models.DecimalField(max_digits=10, decimal_places=5, null=True, blank=True, help_text="EUR.")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["carrier_message_id"], name="one_part_for_each_id")]

    def __str__(self) -> str:
        return f"part {self.carrier_message_id}"


class MessageEvent(Event):
    message = models.ForeignKey(OutboundMessage, models.CASCADE, related_name="events")

    class Meta:
        ordering = ["-id"]

"""The outbox: every message that we send, before, during and after sending."""

import uuid
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext

from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import ReceiptStatus
from smsproxy.crypto import EncryptedTextField
from smsproxy.database.clock import database_now
from smsproxy.states import StaleState, StateMachine
from smsproxy.unreadable import EncryptedRow

from .api_message import ApiMessage
from .conversation import Conversation
from .inbound import InboundMessage
from .message_feed import announce
from .message_order import ID_IN_ORDER
from .outbound_counts import FailureReason, count_change, reason_of_receipt
from .outbound_state import NOT_DELIVERED, OWN_KINDS, UNSETTLED, MessageKind, OutboundState
from .participant import Participant
from .record_search import SEARCH_AFTER, SEARCH_TIME, STAFF_AFTER

_S = OutboundState
# UNKNOWN_OUTCOME_POLICY resends a message at most this often. Then staff decide, as with `hold`.
MAX_RESENDS = 3


def new_client_ref() -> str:
    """Return a new unique reference for a message."""
    return uuid.uuid4().hex


# The order in which the outcomes of several attempts count.
_BEST_FIRST = [_S.DELIVERED, _S.SENT, _S.UNDELIVERED]


class OutboundMessageQuerySet(models.QuerySet["OutboundMessage"]):
    def with_expired_lease(self, at: datetime) -> Self:
        """Return messages whose worker is gone, or too late to be relied on."""
        return self.filter(state=_S.SENDING, lease_until__lte=at).defer("text").order_by("lease_until")

    def due_for_resend(self, at: datetime) -> Self:
        """Return unknown messages to resend: no receipt has settled them in time."""
        late = self.filter(self._worth_resending(at), state=_S.UNKNOWN, due_at__lte=at)
        return late.defer("text").order_by("due_at")

    def awaiting_decision(self, at: datetime) -> Self:
        """Return unknown messages that staff must decide.

        No receipt came in time, no policy resends them, and the carrier's records are no longer searched for them.
        """
        late = self.filter(state=_S.UNKNOWN, due_at__lte=at)
        if settings.RECONCILE != "off":
            late = late.exclude(attempt_ended_at__gt=at - STAFF_AFTER, searches__lt=len(SEARCH_AFTER))
        return late.exclude(self._worth_resending(at)) if settings.UNKNOWN_OUTCOME_POLICY == "resend" else late

    def due_for_search(self, at: datetime) -> Self:
        """Return unknown messages of the last day for which the carrier's records must be searched now."""
        is_due = models.Q()
        for searches, after in enumerate(SEARCH_AFTER):
            is_due |= models.Q(searches=searches, attempt_ended_at__lte=at - after)
        recent = self.filter(is_due, state=_S.UNKNOWN, due_at__gt=at - timedelta(days=1))
        return recent.defer("text").order_by("due_at")

    def not_seen(self) -> Self:
        """Return unknown messages that no search has found in the carrier's records."""
        return self.filter(state=_S.UNKNOWN, searches__gte=len(SEARCH_AFTER))

    def too_old(self, at: datetime) -> Self:
        """Return queued messages older than MESSAGE_MAX_AGE_SECONDS."""
        oldest = at - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)
        return self.filter(state=_S.QUEUED, created_at__lt=oldest).defer("text").order_by("created_at")

    @staticmethod
    def _worth_resending(at: datetime) -> models.Q:
        """Return the filter for neither too old nor resent too often. delivery/claim.py has the same rule in SQL."""
        oldest = at - timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)
        return models.Q(created_at__gt=oldest, resends__lt=MAX_RESENDS)

    def unsent_to(self, person: RealNumber) -> Self:
        """Return messages to this person that may still be sent or resent. Answers to keywords are not among them."""
        return self.filter(recipient=person, state__in=[_S.QUEUED, _S.UNKNOWN]).exclude(kind=MessageKind.KEYWORD_ANSWER)

    def move_line(self, old: Participant, new: Participant, *, skip_locked: bool = False) -> None:
        """Move all unsettled messages of this participant to the line of their new number.

        A message in flight moves too. So later messages from the new number wait for its outcome, and it leaves from
        there if it must be sent again. Call it in a transaction. skip_locked: leave messages that are locked. Each
        moves itself if it is requeued.
        """
        unsettled = self.filter(participant=old, state__in=UNSETTLED).only("state", "attempts").order_by("pk")
        line = list(unsettled.select_for_update(no_key=True, skip_locked=skip_locked))
        self.filter(pk__in=[message.pk for message in line]).update(participant=new, sender=new.proxy_number)
        for message in line:
            if message.state == _S.QUEUED:
                continue
            reason = f"moved to the line of {new.proxy_number}; attempt {message.attempts} was from {old.proxy_number}"
            message.record_event(message.state, reason=reason, old_state=message.state)

    def failed_confirmations(self) -> Self:
        """Return confirmations that did not reach their participant."""
        return self.filter(kind=MessageKind.CONFIRMATION, state__in=NOT_DELIVERED)

    def unfinished(self) -> Self:
        """Return messages that are queued or being sent."""
        return self.filter(state__in=[_S.QUEUED, _S.SENDING])


_OWN = models.Q(kind__in=[kind.value for kind in OWN_KINDS])
_NOT_DELIVERED = models.Q(state__in=["failed", "undelivered"])
_NOT_SENT = models.Q(state__in=["failed", "undelivered", "cancelled"])
_FAILED_CONFIRMATION = models.Q(kind="confirmation", state__in=["failed", "undelivered"])


class OutboundMessage(EncryptedRow, StateMachine):
    """A message from a virtual number to a real number (MT). The row exists before the carrier is called.

    A line is all messages from one virtual number to one person. They are sent in the order of their ids.
    """

    ALLOWED: ClassVar = {
        # From `queued`, `failed` or `cancelled` to a state of a sent message: by a late receipt of an earlier attempt.
        # From `queued` to `unknown`: the database was restored from a backup.
        _S.QUEUED: frozenset({_S.SENDING, _S.FAILED, _S.CANCELLED, _S.SENT, _S.DELIVERED, _S.UNDELIVERED, _S.UNKNOWN}),
        # From `sending` to `cancelled`: its recipient opted out before it was claimed.
        _S.SENDING: frozenset({_S.SENT, _S.QUEUED, _S.FAILED, _S.UNKNOWN, _S.DELIVERED, _S.UNDELIVERED, _S.CANCELLED}),
        _S.SENT: frozenset({_S.DELIVERED, _S.UNDELIVERED}),
        _S.UNKNOWN: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
        _S.DELIVERED: frozenset(),
        # One attempt was undelivered, another one arrived.
        _S.UNDELIVERED: frozenset({_S.SENT, _S.DELIVERED}),
        _S.FAILED: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
        _S.CANCELLED: frozenset({_S.SENT, _S.DELIVERED, _S.UNDELIVERED}),
    }

    client_ref = models.CharField(
        max_length=32, default=new_client_ref, help_text="Our id. Receipts repeat it, with the attempt."
    )
    kind = models.CharField(max_length=20, choices=MessageKind.choices)
    state = models.CharField(max_length=20, choices=OutboundState.choices, default=OutboundState.QUEUED)
    # No separate index: the index of `relayed_once_to_each` begins with this column.
    inbound = models.ForeignKey(
        InboundMessage, models.PROTECT, null=True, blank=True, related_name="relays", db_index=False
    )
    # No check by the database, which would read the whole table when this is added.
    api_message = models.ForeignKey(
        ApiMessage,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="legs",
        db_index=False,
        db_constraint=False,
        help_text="The message of the marketplace that it sends.",
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
    # No separate index: PostgreSQL could use it for a claim instead of the partial indexes below.
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
        default=database_now, help_text="The time of the next attempt or, if its outcome is unknown, of the decision."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=20, blank=True, help_text="The carrier's code for the last error.")
    # Of the last attempt whose outcome was unknown. The carrier received the message then, or never.
    attempted_at = models.DateTimeField(null=True, blank=True, help_text="The start of that attempt.")
    attempt_ended_at = models.DateTimeField(null=True, blank=True, help_text="The latest end of that attempt.")
    searches = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Searches in the carrier's records that did not find that attempt."
    )
    created_at = models.DateTimeField(default=database_now)

    objects = OutboundMessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        # Not `unique=True`, which adds a second index for LIKE on PostgreSQL.
        constraints = [
            models.UniqueConstraint(fields=["inbound", "participant"], name="relayed_once_to_each"),
            models.UniqueConstraint(fields=["client_ref"], name="one_client_ref"),
            models.UniqueConstraint(fields=["dedup_key"], name="unique_dedup_key"),
        ]
        indexes = [
            # For the claim: the virtual numbers with queued messages ...
            models.Index("sender", "id", condition=models.Q(state="queued"), name="outbound_waiting"),
            # ... and the lines of each number, whose first message decides.
            models.Index(
                "sender",
                "recipient",
                "id",
                condition=models.Q(state__in=["queued", "sending", "unknown"]),
                name="outbound_line",
            ),
            # For the periodic jobs: too old, lease expired, unknown for too long.
            # The condition on `created_at` is always true. It keeps claims from using this index, in which each step of
            # their walk would read the whole queue: PostgreSQL uses it only for queries that compare `created_at`.
            models.Index(
                "created_at",
                condition=models.Q(state="queued", created_at__isnull=False),
                name="outbound_queued_since",
            ),
            models.Index("lease_until", condition=models.Q(state="sending"), name="outbound_leased"),
            models.Index("due_at", condition=models.Q(state="unknown"), name="outbound_unknown"),
            # For the recipients of a message of the marketplace.
            models.Index("api_message", condition=models.Q(api_message__isnull=False), name="outbound_of_api_message"),
            # For a page of a conversation: our own texts in it.
            models.Index("conversation", ID_IN_ORDER, condition=_OWN, name="own_message_of_conversation"),
            # For staff: the newest messages that did not arrive, and those to one person.
            models.Index("state", "id", condition=_NOT_SENT, name="outbound_not_arrived"),
            models.Index("recipient", ID_IN_ORDER, condition=_NOT_DELIVERED, name="outbound_failed_to"),
            # For `notify_failed` of a conversation, and for its alert.
            models.Index("conversation", condition=_FAILED_CONFIRMATION, name="confirmation_failed"),
            models.Index("created_at", condition=_FAILED_CONFIRMATION, name="confirmation_failed_at"),
        ]

    def __str__(self) -> str:
        return gettext("outbound message %(id)s") % {"id": self.pk}

    @property
    def carrier_ref(self) -> str:
        """The reference that the carrier repeats in the receipts of this attempt."""
        return f"{self.client_ref}.{self.attempts}"

    def is_too_old(self, at: datetime) -> bool:
        """Return whether the message is older than MESSAGE_MAX_AGE_SECONDS."""
        return at - self.created_at > timedelta(seconds=settings.MESSAGE_MAX_AGE_SECONDS)

    def retry(self, *, after: float, reason: str, code: str = "", is_failure: bool = False) -> Self:
        """Requeue the message at its old place. after: seconds. is_failure: the fault is of the message itself."""
        due_at = database_now() + timedelta(seconds=after)
        failures = self.failures + 1 if is_failure else self.failures
        return self._requeue(reason=reason, due_at=due_at, lease_until=None, error_code=code, failures=failures)

    def transition(
        self, to: str, *, reason: str, actor: str = "", failure: FailureReason | None = None, **changes: Any
    ) -> Self:
        """Change the state as every state machine does, announce and count it.

        failure: who is at fault, if it failed.
        """
        before = self.state
        told = partial(announce, [self.pk], to, failure)
        super().transition(to, reason=reason, actor=actor, announce=told, **changes)
        count_change(before, to, kind=self.kind, recipient_id=self.recipient_id, failure=failure)
        return self

    def fail(self, *, reason: str, code: str = "", failure: FailureReason = FailureReason.REFUSED) -> Self:
        """Give up the message permanently. code: the carrier's. failure: who is at fault."""
        return self.transition(_S.FAILED, reason=reason, failure=failure, lease_until=None, error_code=code)

    def mark_unknown(self, *, reason: str) -> Self:
        """Mark the outcome unknown. Only a policy or a person can have the message resent."""
        now = database_now()
        lease_until = self.lease_until or now
        ended_at = min(now, lease_until)
        due_at = now + timedelta(seconds=settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS)
        if settings.RECONCILE != "off" and settings.UNKNOWN_OUTCOME_POLICY == "resend":
            # What the first search finds is not sent again.
            due_at = max(due_at, ended_at + SEARCH_AFTER[0] + SEARCH_TIME)
        return self.transition(
            _S.UNKNOWN,
            reason=reason,
            due_at=due_at,
            lease_until=None,
            attempted_at=min(ended_at, lease_until - timedelta(seconds=settings.SEND_LEASE_SECONDS)),
            attempt_ended_at=ended_at,
            searches=0,
        )

    @property
    def is_not_seen(self) -> bool:
        """Return whether no search has found it in the carrier's records. That is no proof that it was not sent."""
        return self.state == _S.UNKNOWN and self.searches >= len(SEARCH_AFTER)

    def distrust(self, *, reason: str) -> Self:
        """Mark a message unknown that another worker perhaps sent, unseen by this database. Only staff resend it."""
        due_at = database_now() + timedelta(seconds=settings.UNKNOWN_OUTCOME_TIMEOUT_SECONDS)
        # The attempt that this database has not seen: receipts repeat its number.
        attempts = self.attempts + 1 if self.state == _S.QUEUED else self.attempts
        return self.transition(
            _S.UNKNOWN, reason=reason, due_at=due_at, lease_until=None, attempts=attempts, resends=MAX_RESENDS
        )

    def resend(self, *, reason: str, actor: str = "") -> Self:
        """Requeue an unknown message, which may arrive twice.

        Raises StaleState if it is too old or not unknown, or if staff resend it to a person who has opted out. The
        policy may requeue such a message: it is cancelled when it is claimed.
        """
        if self.state != _S.UNKNOWN:
            raise StaleState(
                f"outbound message {self.pk} is {self.state}: only a message with an unknown outcome can be resent"
            )
        if self.is_too_old(database_now()):
            raise StaleState(
                f"outbound message {self.pk} is older than MESSAGE_MAX_AGE_SECONDS: it can no longer be sent"
            )
        if actor and self.kind != MessageKind.KEYWORD_ANSWER and self.recipient.opted_out_at is not None:
            raise StaleState(f"outbound message {self.pk} is to a person who has opted out: it cannot be resent")
        resends = self.resends if actor else self.resends + 1
        return self._requeue(reason=reason, actor=actor, due_at=database_now(), resends=resends)

    def _requeue(self, **changes: Any) -> Self:
        """Requeue the message, in the line of the person's present number if its own is replaced and in quarantine."""
        with transaction.atomic():
            self.transition(_S.QUEUED, **changes)
            replaced = Participant.objects.filter(messages=self, replaced_by__isnull=False)
            unable = replaced.filter(proxy_number__state=NumberState.QUARANTINED).select_related("proxy_number").first()
            if unable is not None:
                # Two messages of the line that are requeued at once would wait for each other.
                OutboundMessage.objects.move_line(unable, unable.current, skip_locked=True)
                self.refresh_from_db(fields=["participant", "sender"])
        return self

    def cancel(self, *, reason: str, actor: str = "") -> Self:
        """Decide not to send the message."""
        return self.transition(_S.CANCELLED, reason=reason, actor=actor, lease_until=None)

    def update_from_parts(self, reason: str = "delivery receipt") -> None:
        """Derive the message's state from its parts. The caller holds the row's lock. reason: for the event.

        An attempt is delivered when all its parts are, and undelivered as soon as one part is. The best of several
        attempts counts. Any receipt for a part proves that the attempt was sent.
        """
        attempts: dict[int, list[OutboundPart]] = {}
        for part in self.parts.all():
            attempts.setdefault(part.attempt, []).append(part)
        if not attempts:
            return
        to, code = min(map(self._outcome, attempts.values()), key=lambda outcome: _BEST_FIRST.index(outcome[0]))
        is_still_trying = self.state in (_S.QUEUED, _S.SENDING, _S.UNKNOWN)
        if to == _S.UNDELIVERED and is_still_trying and max(attempts) < self.attempts:
            return  # An earlier undelivered attempt says nothing about the current one.
        if to in self.ALLOWED[self.state]:
            failure = reason_of_receipt(code) if to == _S.UNDELIVERED else None
            self.transition(to, reason=reason, failure=failure, lease_until=None, error_code=code)

    def _outcome(self, parts: "list[OutboundPart]") -> tuple[OutboundState, str]:
        """Return the outcome of one attempt, and the carrier's code for it."""
        for part in parts:
            if part.status == ReceiptStatus.UNDELIVERED:
                return _S.UNDELIVERED, part.error_code
        delivered = sum(part.status == ReceiptStatus.DELIVERED for part in parts)
        return (_S.DELIVERED if delivered >= (self.part_count or self.segments) else _S.SENT), ""


class OutboundPart(models.Model):
    """One SMS of a message, by the carrier's count."""

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

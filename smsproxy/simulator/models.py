"""The simulated network: its phones, the numbers that our account rents, the messages it carried, and its faults.

It is in the database, so that the web server, the worker and the commands see the same network.
"""

from datetime import datetime, timedelta
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from smsproxy.crypto import EncryptedTextField, number_hash
from smsproxy.phone import mask

DELAY = timedelta(seconds=6)  # of what the network delays
RETRY = timedelta(seconds=5)  # of a post that a webhook rejected


class SimulatedHandsetQuerySet(models.QuerySet["SimulatedHandset"]):
    def get_or_create_handset(self, number: str) -> "SimulatedHandset":
        """Return the phone with this E.164 number. Create it if it does not exist."""
        handset, _ = self.get_or_create(number_hash=number_hash(number), defaults={"number": number})
        return handset


class SimulatedHandset(models.Model):
    """A person's phone."""

    number_hash = models.CharField(max_length=64, unique=True, editable=False)
    number = EncryptedTextField(help_text="E.164.")
    name = models.CharField(max_length=40, blank=True, help_text="The owner's name.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = SimulatedHandsetQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name or f"Phone {mask(self.number)}"


class SimulatedNumber(models.Model):
    """A number that our account rents."""

    number = models.CharField(max_length=16, unique=True, help_text="E.164.")
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    type = models.CharField(max_length=20)
    features = models.CharField(max_length=40, help_text="Comma-separated.")
    monthly_cost = models.DecimalField(max_digits=8, decimal_places=2, help_text="EUR a month.")
    webhook_url = models.CharField(
        max_length=500, blank=True, help_text="The inbound webhook. Empty: inbound messages are dropped."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.number


class Direction(models.TextChoices):
    FROM_HANDSET = "from", _("from the phone")
    TO_HANDSET = "to", _("to the phone")


class SimulatedText(models.Model):
    """A message on a phone: one that its owner typed, or one that arrived."""

    handset = models.ForeignKey(SimulatedHandset, models.CASCADE, related_name="texts")
    direction = models.CharField(max_length=4, choices=Direction.choices)
    virtual_number = models.CharField(max_length=16, help_text="The virtual number that this phone texts, E.164.")
    text = EncryptedTextField()
    carrier_message_id = models.CharField(max_length=64, help_text="The id of the first part.")
    client_ref = models.CharField(max_length=100, blank=True)
    fault = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="The fault of the network that it met."
    )
    created_at = models.DateTimeField(
        default=timezone.now, help_text="When it was typed, or arrives. In the future while the network delays it."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"text {self.pk}"


class DelayedPostQuerySet(models.QuerySet["DelayedPost"]):
    def take_due(self, at: datetime) -> "DelayedPost | None":
        """Return the oldest post that is due, and postpone it, so that nobody posts it at the same time.

        Delete it once it is posted. Otherwise it is due again later. Return None if none is due.
        """
        for post in self.filter(due_at__lte=at).order_by("due_at")[:10]:
            # Another thread or process may have taken it since it was read.
            if self.filter(pk=post.pk, due_at=post.due_at).update(due_at=at + RETRY):
                return post
        return None


class DelayedPost(models.Model):
    """A message or a receipt that the network still carries. It posts it to our webhook when it is due."""

    due_at = models.DateTimeField()
    url = models.CharField(max_length=500)
    body = EncryptedTextField(help_text="The message or the receipt, as JSON.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = DelayedPostQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"post {self.pk}"


class Verb(models.TextChoices):
    """An operation that can fail: a call to the carrier, or the delivery of a message from a phone to us."""

    SEARCH = "search", _("search")
    BUY = "buy", _("buy")
    CONFIGURE = "configure", _("configure")
    OWNED = "owned", _("owned")
    CANCEL = "cancel", _("cancel")
    LOOK_UP = "look_up", _("look up")
    SEND = "send", _("send")
    RECEIVE = "receive", _("receive")


class FaultKind(models.TextChoices):
    THROTTLED = "throttled", _("throttled")
    UNREACHABLE = "unreachable", _("unreachable")
    REFUSED = "refused", _("refused")
    SENDER_FAULT = "sender_fault", _("sender at fault")
    ACCOUNT_FAULT = "account_fault", _("account at fault")
    LOST_REQUEST = "lost_request", _("request lost")
    """The request is lost: it has no effect, and we cannot know that."""
    LOST_REPLY = "lost_reply", _("reply lost")
    """The request takes effect, but the reply is lost. Only the receipt of a message shows that it was sent."""
    SILENCE = "silence", _("silence")
    """The message is delivered, but neither a reply nor a receipt arrives."""
    UNDELIVERED = "undelivered", _("undelivered")
    """The message is accepted, and its receipt says that it was not delivered."""
    NO_RECEIPT = "no_receipt", _("no receipt")
    DUPLICATE_RECEIPT = "duplicate_receipt", _("receipt twice")
    DUPLICATE_INBOUND = "duplicate_inbound", _("webhook twice")
    DELAYED = "delayed", _("delayed")
    """The message is accepted. It reaches the phone, and its receipt reaches us, after DELAY."""
    LATE_PART = "late_part", _("in parts, out of order")
    """The network cuts the text into parts, and posts them in reverse. The first part comes after DELAY."""


_OF_ANY_CALL = frozenset(
    {
        FaultKind.THROTTLED,
        FaultKind.UNREACHABLE,
        FaultKind.REFUSED,
        FaultKind.SENDER_FAULT,
        FaultKind.ACCOUNT_FAULT,
        FaultKind.LOST_REQUEST,
        FaultKind.LOST_REPLY,
    }
)
POSSIBLE_FAULTS = {
    **dict.fromkeys(Verb, _OF_ANY_CALL),
    Verb.SEND: _OF_ANY_CALL
    | {
        FaultKind.SILENCE,
        FaultKind.UNDELIVERED,
        FaultKind.NO_RECEIPT,
        FaultKind.DUPLICATE_RECEIPT,
        FaultKind.DELAYED,
    },
    Verb.RECEIVE: frozenset({FaultKind.DUPLICATE_INBOUND, FaultKind.LATE_PART}),
}


class SimulatedFaultQuerySet(models.QuerySet["SimulatedFault"]):
    def take(self, verb: Verb) -> FaultKind | None:
        """Return the oldest fault for this verb, and count it down. Return None if no fault is left."""
        for fault in self.filter(verb=verb, remaining__gt=0).order_by("pk"):
            # Another thread or process may have used up the fault since it was read.
            if self.filter(pk=fault.pk, remaining__gt=0).update(remaining=F("remaining") - 1):
                return FaultKind(fault.kind)
        return None


class SimulatedFault(models.Model):
    """A fault of the next uses of a verb. remaining: how many uses fail."""

    verb = models.CharField(max_length=20, choices=Verb.choices)
    kind = models.CharField(max_length=20, choices=FaultKind.choices)
    remaining = models.PositiveIntegerField("times left", default=1)

    objects = SimulatedFaultQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.verb}: {self.kind} × {self.remaining}"

    def clean(self) -> None:
        if self.verb not in Verb.values:
            return  # The field's own validation reports it.
        possible = POSSIBLE_FAULTS[Verb(self.verb)]
        if self.kind in FaultKind.values and self.kind not in possible:
            known = ", ".join(sorted(possible))
            raise ValidationError({"kind": f"{self.verb} cannot fail in this way: expected one of {known}."})

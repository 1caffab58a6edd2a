"""The kinds and the states of outbound messages."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class MessageKind(models.TextChoices):
    RELAY = "relay", _("relay")
    """Relays an inbound message."""
    NOTICE = "notice", _("notice")
    """A message of our own, such as a failure notice."""
    CONFIRMATION = "confirmation", _("confirmation")
    """Tells a participant of a new conversation which number to text."""
    API = "api", _("from the marketplace")
    """Sent by the marketplace through the API."""
    KEYWORD_ANSWER = "keyword_answer", _("answer to a keyword")
    """Answers STOP, START or HELP. The only kind that a person who has opted out still gets."""


class OutboundState(models.TextChoices):
    QUEUED = "queued", _("queued")
    """Waits for `due_at` and for the earlier messages of its line."""
    SENDING = "sending", _("sending")
    """A worker holds it until `lease_until`. Committed before the carrier is called."""
    SENT = "sent", _("sent")
    """The carrier accepted it."""
    DELIVERED = "delivered", _("delivered")
    """Every part reached the phone, by the carrier's receipts."""
    UNDELIVERED = "undelivered", _("undelivered")
    """The carrier accepted it, then failed to deliver at least one part."""
    FAILED = "failed", _("failed")
    """Refused permanently, or too old. A receipt of an earlier attempt can still change the state."""
    UNKNOWN = "unknown", _("unknown")
    """Perhaps sent: the call had no answer. A receipt settles it until `due_at`, then UNKNOWN_OUTCOME_POLICY does."""
    CANCELLED = "cancelled", _("cancelled")
    """Staff decided not to send it, or its recipient opted out. A receipt of an earlier attempt still counts."""


# The kinds of texts that come from ourselves, not from a participant or from the marketplace.
OWN_KINDS = (MessageKind.CONFIRMATION, MessageKind.NOTICE, MessageKind.KEYWORD_ANSWER)

# A message in one of these states may still be sent, or is on its way.
UNSETTLED = (OutboundState.QUEUED, OutboundState.SENDING, OutboundState.UNKNOWN)

# A message in one of these states certainly did not arrive, unless a late receipt corrects it.
NOT_DELIVERED = (OutboundState.FAILED, OutboundState.UNDELIVERED)

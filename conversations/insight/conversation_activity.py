"""The activity of conversations: how many messages each had, when the last was written, and its confirmations.

It is counted when it is read, in two queries for any number of conversations. A text costs no further write for it.
Messages that retention has deleted are not counted.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import CharField, Count, DateTimeField, F, Max, OuterRef, Subquery, Value
from django.db.models.functions import Cast

from conversations.models import (
    ApiMessage,
    InboundMessage,
    InboundOutcome,
    MessageEvent,
    MessageKind,
    OutboundMessage,
    OutboundState,
)

_INBOUND, _API = "inbound", "api"


class ConfirmationStatus(StrEnum):
    """What became of the message that tells a participant which number to text."""

    NONE = "none"
    """None was sent."""
    QUEUED = "queued"
    """It waits, or is being sent."""
    SENT = "sent"
    """The carrier accepted it."""
    DELIVERED = "delivered"
    """It reached the phone."""
    FAILED = "failed"
    """It did not reach the phone: refused, undelivered, too old or cancelled."""
    UNKNOWN = "unknown"
    """Perhaps sent: the carrier did not answer."""


_STATUS_OF = {
    OutboundState.QUEUED: ConfirmationStatus.QUEUED,
    OutboundState.SENDING: ConfirmationStatus.QUEUED,
    OutboundState.SENT: ConfirmationStatus.SENT,
    OutboundState.DELIVERED: ConfirmationStatus.DELIVERED,
    OutboundState.UNDELIVERED: ConfirmationStatus.FAILED,
    OutboundState.FAILED: ConfirmationStatus.FAILED,
    OutboundState.CANCELLED: ConfirmationStatus.FAILED,
    OutboundState.UNKNOWN: ConfirmationStatus.UNKNOWN,
}
# The status of several confirmations is the first of these that one of them has.
_WORST_FIRST = (
    ConfirmationStatus.FAILED,
    ConfirmationStatus.UNKNOWN,
    ConfirmationStatus.QUEUED,
    ConfirmationStatus.SENT,
    ConfirmationStatus.DELIVERED,
)


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The confirmation to one participant. at: since when it has this status; None: not known any more, or none."""

    status: ConfirmationStatus = ConfirmationStatus.NONE
    at: datetime | None = None


@dataclass(kw_only=True)
class MessageCounts:
    """Numbers of messages of one conversation.

    received: texts of its participants; a long text counts once. relayed: those that went to the others. from_api:
    messages of the marketplace. The others count what we send, once for each recipient and of every kind, by its
    present status; queued includes what is being sent.
    """

    received: int = 0
    relayed: int = 0
    from_api: int = 0
    queued: int = 0
    sent: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0
    unknown: int = 0
    cancelled: int = 0

    def add(self, name: str, count: int) -> None:
        setattr(self, name, getattr(self, name) + count)


@dataclass(kw_only=True)
class Activity:
    """The activity of one conversation. confirmations: by the position of the participant."""

    counts: MessageCounts = field(default_factory=MessageCounts)
    last_message_at: datetime | None = None
    confirmations: dict[int, Confirmation] = field(default_factory=dict)

    def confirmation_to(self, position: int) -> Confirmation:
        return self.confirmations.get(position, Confirmation())

    def notify_status(self, positions: Collection[int]) -> ConfirmationStatus:
        """Return the status of the confirmations to these participants together: the worst that one of them has."""
        found = {self.confirmation_to(position).status for position in positions}
        return next((status for status in _WORST_FIRST if status in found), ConfirmationStatus.NONE)


def activity_of_new(confirmed: Collection[int], at: datetime) -> Activity:
    """Return the activity of a conversation that was just created, without a query.

    confirmed: the positions of the participants to whom a confirmation was queued, at this time.
    """
    queued = Confirmation(status=ConfirmationStatus.QUEUED, at=at)
    return Activity(counts=MessageCounts(queued=len(confirmed)), confirmations=dict.fromkeys(confirmed, queued))


def activity_of(conversations: Collection[int]) -> Mapping[int, Activity]:
    """Return the activity of these conversations, by id."""
    found: defaultdict[int, Activity] = defaultdict(Activity)
    for row in _counts(conversations):
        activity = found[row["of"]]
        match row["source"]:
            case "inbound":
                activity.counts.received += row["count"]
                activity.counts.relayed += row["count"] if row["status"] == InboundOutcome.RELAYED else 0
            case "api":
                activity.counts.from_api += row["count"]
            case _:
                is_sending = row["status"] == OutboundState.SENDING
                activity.counts.add("queued" if is_sending else row["status"], row["count"])
        if row["last"] is not None:
            activity.last_message_at = max(filter(None, (activity.last_message_at, row["last"])))
    for message in _confirmations(conversations):
        confirmation = Confirmation(status=_STATUS_OF[OutboundState(message["state"])], at=message["since"])
        found[message["conversation_id"]].confirmations[message["participant__position"]] = confirmation
    return found


def _counts(conversations: Collection[int]) -> Any:
    """Return the counts of all tables in one query, with the time of the last text that somebody wrote."""
    parts = [InboundOutcome.PART, InboundOutcome.DUPLICATE_PART]
    columns = ("of", "source", "status", "count", "last")
    inbound = (
        InboundMessage.objects.filter(participant__conversation__in=conversations)
        .exclude(outcome__in=parts)
        .order_by()
        .values(of=F("participant__conversation_id"), source=_text(_INBOUND), status=_column("outcome"))
        .annotate(count=Count("pk"), last=Max("received_at"))
    )
    api = (
        ApiMessage.objects.filter(conversation__in=conversations)
        .order_by()
        .values(of=F("conversation_id"), source=_text(_API), status=_text(""))
        .annotate(count=Count("pk"), last=Max("created_at"))
    )
    outbound = (
        OutboundMessage.objects.filter(conversation__in=conversations)
        .order_by()
        .values(of=F("conversation_id"), source=_text("outbound"), status=_column("state"))
        .annotate(count=Count("pk"), last=Value(None, output_field=DateTimeField()))
    )
    return inbound.values(*columns).union(api.values(*columns), outbound.values(*columns), all=True)


def _text(value: str) -> Value:
    return Value(value, output_field=CharField())


def _column(name: str) -> Cast:
    return Cast(name, CharField())


def _confirmations(conversations: Collection[int]) -> Any:
    """Return the confirmations to their present phones, oldest first, each with the time of its last change."""
    last = MessageEvent.objects.filter(message=OuterRef("pk")).order_by("-pk").values("created_at")[:1]
    return (
        OutboundMessage.objects.filter(conversation__in=conversations, kind=MessageKind.CONFIRMATION)
        .filter(participant__isnull=False, participant__removed_at=None)
        .order_by("pk")
        .values("conversation_id", "participant__position", "state", since=Subquery(last))
    )

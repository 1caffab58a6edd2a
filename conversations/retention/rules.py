"""How long the rows of each table are kept, and which old rows stay because something still needs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from axes.models import AccessAttempt, AccessAttemptExpiration
from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet

from conversations.models import (
    AccountEvent,
    ApiMessage,
    Block,
    Conversation,
    ConversationEvent,
    ConversationNote,
    DailySpend,
    DeliveryReceipt,
    HourlySample,
    InboundMessage,
    InboxItem,
    LongMessage,
    MessageEvent,
    OutboundMessage,
    OutboundPart,
    Participant,
    RejectedWebhook,
)
from conversations.models.outbound_state import UNSETTLED
from numbers.models import NumberEvent, PersonEvent, RealNumber, Shortage
from smsproxy.api.models import IdempotencyRecord
from smsproxy.events.feed import KEPT as FEED_KEPT
from smsproxy.events.models import FeedEvent
from smsproxy.simulator.models import DelayedPost, SimulatedHandset, SimulatedText

MESSAGE, EVENT = "MESSAGE_RETENTION_SECONDS", "EVENT_RETENTION_SECONDS"
SHORTAGES_KEPT = timedelta(days=90)
IDEMPOTENCY_KEYS_KEPT = timedelta(days=1)
WRONG_PASSWORDS_KEPT = timedelta(hours=1)
SAMPLES_KEPT = timedelta(days=35)
SPEND_KEPT = timedelta(days=400)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The retention of one table.

    rows: those that may go once they are old. at: the time that a row is as old as.
    kept: the setting that says how long, in seconds, or the time itself.
    with_it: the tables whose rows go with it, each with its foreign key, in this order.
    in_order: `at` grows with the id, so a walk by id ends at the first row that is too young.
    released: a further condition, which depends on the moment before which rows are old.
    """

    rows: "QuerySet[Any]"
    at: str
    kept: str | timedelta
    with_it: Sequence[tuple[type[models.Model], str]] = ()
    in_order: bool = True
    released: Callable[[datetime], Any] = lambda before: Q()

    @property
    def model(self) -> type[models.Model]:
        return self.rows.model

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def time_kept(self) -> timedelta | None:
        """None: for ever."""
        if isinstance(self.kept, timedelta):
            return self.kept
        seconds = getattr(settings, self.kept)
        return timedelta(seconds=seconds) if seconds else None


def _nobody(model: type[models.Model], field: str) -> Q:
    """Return the filter of rows that no row of this model points to."""
    return Q(~Exists(model._default_manager.filter(**{field: OuterRef("pk")})))


def _superseded(model: type[models.Model], owner: str) -> "QuerySet[Any]":
    """Return the events after which the same row came to the same state again. The last event of each state stays."""
    again = {owner: OuterRef(owner), "new_state": OuterRef("new_state"), "pk__gt": OuterRef("pk")}
    return model._default_manager.filter(Exists(model._default_manager.filter(**again)))


# A message that is still to be sent, or of an unknown outcome, stays with its events and receipts until it is settled.
_UNSETTLED = OutboundMessage.objects.filter(pk=OuterRef("message"), state__in=UNSETTLED)

_USED_PARTICIPANTS = Participant.objects.filter(
    Exists(InboundMessage.objects.filter(participant=OuterRef("pk")))
    | Exists(OutboundMessage.objects.filter(participant=OuterRef("pk")))
    | Exists(ApiMessage.objects.filter(author=OuterRef("pk"))),
    conversation=OuterRef("pk"),
)

RULES: Sequence[Rule] = (
    Rule(rows=MessageEvent.objects.filter(~Exists(_UNSETTLED)), at="created_at", kept=EVENT),
    Rule(rows=DeliveryReceipt.objects.filter(~Exists(_UNSETTLED)), at="received_at", kept=EVENT),
    Rule(
        rows=OutboundMessage.objects.exclude(state__in=UNSETTLED),
        at="created_at",
        kept=MESSAGE,
        with_it=[
            (DeliveryReceipt, "message"),
            (OutboundPart, "message"),
            (MessageEvent, "message"),
            (InboxItem, "outbound"),
        ],
    ),
    # Not before its relays. An open long message still needs its parts.
    Rule(
        rows=InboundMessage.objects.filter(
            Q(long_message=None) | Q(long_message__closed_at__isnull=False), _nobody(OutboundMessage, "inbound")
        ),
        at="received_at",
        kept=MESSAGE,
        with_it=[(InboxItem, "inbound")],
    ),
    Rule(
        rows=LongMessage.objects.filter(_nobody(InboundMessage, "long_message"), closed_at__isnull=False),
        at="due_at",
        kept=MESSAGE,
    ),
    Rule(rows=ApiMessage.objects.filter(_nobody(OutboundMessage, "api_message")), at="created_at", kept=MESSAGE),
    Rule(rows=_superseded(ConversationEvent, "conversation"), at="created_at", kept=MESSAGE),
    # Not before its messages and the last of its pairs. A pair that is not released may still get a text, and one that
    # was released lately still decides that a text is too old for the next conversation.
    Rule(
        rows=Conversation.objects.filter(
            _nobody(OutboundMessage, "conversation"), _nobody(ApiMessage, "conversation"), ~Exists(_USED_PARTICIPANTS)
        ),
        released=lambda before: (
            ~Exists(Participant.objects.filter(conversation=OuterRef("pk")).exclude(released_at__lt=before))
        ),
        at="closed_at",
        kept=MESSAGE,
        with_it=[
            (ConversationEvent, "conversation"),
            (InboxItem, "conversation"),
            (ConversationNote, "conversation"),
            (Participant, "conversation"),
        ],
        in_order=False,
    ),
    Rule(rows=_superseded(PersonEvent, "person"), at="created_at", kept=MESSAGE),
    # An opt-out and a block stay, with the number that they are about.
    Rule(
        rows=RealNumber.objects.filter(
            _nobody(Participant, "real_number"),
            _nobody(InboundMessage, "sender"),
            _nobody(OutboundMessage, "recipient"),
            _nobody(LongMessage, "sender"),
            _nobody(Shortage, "real_number"),
            _nobody(Block, "person"),
            _nobody(Block, "other"),
            opted_out_at=None,
        ),
        at="created_at",
        kept=MESSAGE,
        with_it=[(PersonEvent, "person")],
    ),
    Rule(rows=_superseded(NumberEvent, "number"), at="created_at", kept=EVENT),
    Rule(rows=_superseded(AccountEvent, "account"), at="created_at", kept=EVENT),
    Rule(rows=RejectedWebhook.objects.all(), at="day", kept=EVENT),
    Rule(rows=Shortage.objects.all(), at="created_at", kept=SHORTAGES_KEPT),
    Rule(rows=HourlySample.objects.all(), at="hour", kept=SAMPLES_KEPT),
    Rule(rows=DailySpend.objects.all(), at="day", kept=SPEND_KEPT),
    Rule(rows=FeedEvent.objects.all(), at="created_at", kept=FEED_KEPT),
    Rule(rows=IdempotencyRecord.objects.all(), at="created_at", kept=IDEMPOTENCY_KEYS_KEPT),
    # Each wrong password moves the time of its row.
    Rule(
        rows=AccessAttempt.objects.all(),
        at="attempt_time",
        kept=WRONG_PASSWORDS_KEPT,
        with_it=[(AccessAttemptExpiration, "access_attempt")],
        in_order=False,
    ),
    Rule(rows=DelayedPost.objects.all(), at="created_at", kept=MESSAGE),
    Rule(rows=SimulatedText.objects.all(), at="created_at", kept=MESSAGE),
    Rule(rows=SimulatedHandset.objects.filter(_nobody(SimulatedText, "handset")), at="created_at", kept=MESSAGE),
)

# Tables without a retention time, and what bounds them.
BOUNDED: dict[str, str] = {
    "conversations.accountratelimit": "one row",
    "conversations.block": "an act of staff each; kept as the reason why a person's texts are not passed on",
    "conversations.conversationnote": "written by staff; goes with its conversation",
    "conversations.hostclock": "one row for each host; deleted a day after its last measurement",
    "conversations.inboxitem": "goes with the text, message or conversation that it is about",
    "conversations.joblease": "one row",
    "conversations.limitusage": "deleted a day after the limit is free again",
    "conversations.numberratelimit": "one row for each virtual number",
    "conversations.outboundpart": "goes with its outbound message",
    "conversations.participant": "goes with its conversation",
    "conversations.recordsearch": "one row",
    "conversations.retentionmark": "one row for each table",
    "conversations.sitecertificate": "one row for each address of this site",
    "conversations.texterasure": "one row for each table with texts",
    "conversations.troubleepisode": "deleted a year after its end",
    "conversations.unreadablerow": "goes with the row that it is about",
    "conversations.webhookwatch": "one row for each endpoint",
    "conversations.worker": "one row for each worker; deleted a day after its last heartbeat",
    "numbers.numberorder": "an act of staff or of a top-up each; kept, because it records what was paid",
    "numbers.orderevent": "a few for each order; kept with it",
    "numbers.pool": "made by staff",
    "numbers.poollevel": "one row for each pool and country",
    "numbers.shortagecount": "one row for each pool and country",
    "numbers.topup": "made by staff",
    "numbers.virtualnumber": "one row for each number ever rented; kept, because it records what was paid",
    "metrics.metricvalue": "one row for each metric and its labels, which have few values",
    "services.service": "made by staff",
    "services.servicetext": "made by staff",
    "staff.auditentry": "an act of staff each; kept, because it records who has seen a number or a text",
    "staff.auditedperson": "kept with its audit entry",
    "staff.reveal": "one row for each member of staff and object at most; deleted when it is over",
    "api.apikey": "made by staff; kept, because conversations name the key that created them",
    "simulator.simulatednumber": "one row for each number that the simulated account rents",
    "simulator.simulatedfault": "made by hand",
    "admin.logentry": "not written any more: the audit is in its place; its old rows are kept",
    "axes.accessattemptexpiration": "never written",
    "axes.accessfailurelog": "never written",
    "axes.accesslog": "never written",
    "auth.group": "made by staff",
    "auth.permission": "a few for each model",
    "auth.user": "made by staff",
    "otp_static.staticdevice": "one row for each user",
    "otp_static.statictoken": "ten recovery codes for each user",
    "otp_totp.totpdevice": "one row for each user",
    "contenttypes.contenttype": "one row for each model",
    "sessions.session": "deleted when it has expired",
}

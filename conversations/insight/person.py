"""What staff need to know of one person: conversations, blocks, texts without one, failures, limits.

Each function reads a bounded number of rows by an index, however much the person has texted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from conversations.models import Block, InboundMessage, InboundOutcome, LimitScope, LimitUsage, OutboundMessage
from conversations.models.block import begins
from conversations.models.limit_usage import messages_pair, messages_subject
from conversations.models.message_order import ID_IN_ORDER
from conversations.models.outbound_state import NOT_DELIVERED
from conversations.models.participant import Participant
from conversations.trust.limits import stored_charge
from numbers.models import RealNumber
from smsproxy.crypto import Unreadable
from smsproxy.database.clock import database_now
from smsproxy.services.models import Service

SHOWN = 20
"""The most rows of a list: the newest."""
FAILURES_WITHIN = timedelta(days=30)
_MOST_SERVICES = 100
_PERSON_SCOPES = (LimitScope.PERSON_NOTICES, LimitScope.KEYWORD_ANSWERS, LimitScope.CONFIRMATIONS)


@dataclass(frozen=True, kw_only=True)
class ConversationPage:
    """Participants of a person with their conversations, newest first. older: the place to continue from, or None."""

    participants: Sequence[Participant]
    older: int | None
    is_first: bool


def conversations_of(person: RealNumber, before: int | None = None) -> ConversationPage:
    """Return a page of the conversations of this person. before: the place to continue from; None: the newest."""
    places = Participant.objects.annotate(place=ID_IN_ORDER).filter(real_number=person, replaced_by__isnull=True)
    if before is not None:
        places = places.filter(place__lt=before)
    rows = list(places.select_related("conversation__service", "proxy_number").order_by("-place")[: SHOWN + 1])
    older = rows[SHOWN - 1].pk if len(rows) > SHOWN else None
    return ConversationPage(participants=rows[:SHOWN], older=older, is_first=before is None)


def blocks_of(person: RealNumber) -> list[Block]:
    """Return the newest blocks of this person, and of pairs with them, the active ones first."""
    blocks = Block.objects.filter(Q(person=person) | Q(other=person)).select_related("person", "other", "service")
    return sorted(blocks.order_by("-pk")[:SHOWN], key=lambda block: (not block.is_active, -block.pk))


def has_blocked_prefix(person: RealNumber) -> bool:
    """Return whether an active block of a prefix covers this person's number. Staff block few prefixes."""
    if isinstance(person.number, Unreadable):
        return False
    prefixes = Block.objects.active().exclude(prefix="").values_list("prefix", flat=True)
    return begins(tuple(prefixes), person.number)


def texts_without_conversation(person: RealNumber) -> list[InboundMessage]:
    """Return the newest texts of this person to numbers that stand for no conversation of theirs, without the text."""
    texts = InboundMessage.objects.filter(sender=person, outcome=InboundOutcome.NO_ROUTE).defer("text", "raw")
    return list(texts.select_related("virtual_number").order_by(ID_IN_ORDER.desc())[:SHOWN])


def failures_to(person: RealNumber) -> list[OutboundMessage]:
    """Return the newest messages to this person that did not arrive, of the last FAILURES_WITHIN, without the text."""
    since = database_now() - FAILURES_WITHIN
    failed = OutboundMessage.objects.filter(recipient=person, state__in=NOT_DELIVERED).defer("text")
    newest = failed.select_related("conversation", "sender").order_by(ID_IN_ORDER.desc())[:SHOWN]
    # Not in the statement: it would go on to read the older ones.
    return [message for message in newest if message.created_at > since]


@dataclass(frozen=True, kw_only=True)
class LimitState:
    """How far a limit of a person is used. service: whose limit it is, or None. free_at: all of it is free again."""

    label: str
    service: Service | None
    is_used_up: bool
    free_at: datetime


def limits_of(person: RealNumber) -> list[LimitState]:
    """Return the limits of this person that are in use."""
    services = {service.pk: service for service in Service.objects.order_by("pk")[:_MOST_SERVICES]}
    subjects = [messages_subject(pk, person.pk) for pk in services]
    usages = LimitUsage.objects.filter(
        Q(scope__in=_PERSON_SCOPES, subject_id=person.pk) | Q(scope=LimitScope.PERSON, subject_id__in=subjects)
    )
    now = database_now().timestamp()
    found = []
    for usage in usages.order_by("scope", "subject_id"):
        free_at = max(usage.short_ready_at, usage.long_ready_at)
        if free_at <= now:
            continue
        service = services.get(messages_pair(usage.subject_id)[0]) if usage.scope == LimitScope.PERSON else None
        wait = stored_charge(usage, None).wait(usage.short_ready_at, usage.long_ready_at, now)
        found.append(
            LimitState(
                label=str(LimitScope(usage.scope).label),
                service=service,
                is_used_up=wait > 0,
                free_at=datetime.fromtimestamp(free_at, UTC),
            )
        )
    return found

"""The messages of a conversation as an integrator sees them: one text each, with what became of it for each recipient.

They come from three tables. In each, the rows of one conversation become visible in the order of their ids, because the
ids are drawn under the conversation's lock. A position is the last id in each table. So a reader that continues from a
position gets every message once. A page is read in a fixed number of queries, which on PostgreSQL read rows in
proportion to its limit and the number of participants, however long the conversation is.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from conversations.insight.message_errors import MessageError, error_of
from conversations.models import (
    ApiMessage,
    Conversation,
    InboundMessage,
    InboundOutcome,
    MessageEvent,
    MessageKind,
    OutboundMessage,
    OutboundPart,
    OutboundState,
    Participant,
)
from conversations.models.outbound_state import OWN_KINDS
from smsproxy.crypto import Unreadable
from smsproxy.database import prepared
from smsproxy.database.clock import from_stored
from smsproxy.opaque_ids import IdKind, public_id, row_id

TEXT = "text"
"""The kind of a message that a participant texted."""
_PARTS = (InboundOutcome.PART, InboundOutcome.DUPLICATE_PART)
_SETTLED = (OutboundState.DELIVERED, OutboundState.UNDELIVERED, OutboundState.FAILED, OutboundState.CANCELLED)
_SHOWN = (OutboundState.SENT, OutboundState.UNKNOWN, *_SETTLED)

_OWN = ", ".join(f"'{kind}'" for kind in OWN_KINDS)
# The next texts of each participant, each at most a page of them. SQLite has no LATERAL, so it sorts all texts.
_TEXTS_OF_EACH = """
    SELECT text.id, text.at FROM conversations_participant AS participant CROSS JOIN LATERAL (
        SELECT id, received_at AS at FROM conversations_inboundmessage
        WHERE participant_id = participant.id AND id + 0 > %(inbound)s AND outcome NOT IN ('part', 'duplicate_part')
        ORDER BY id + 0 LIMIT %(limit)s
    ) AS text
    WHERE participant.conversation_id = %(conversation)s
    ORDER BY text.id LIMIT %(limit)s
"""
_TEXTS_OF_ALL = """
    SELECT id, received_at AS at FROM conversations_inboundmessage
    WHERE participant_id IN (SELECT id FROM conversations_participant WHERE conversation_id = %(conversation)s)
    AND id + 0 > %(inbound)s AND outcome NOT IN ('part', 'duplicate_part')
    ORDER BY id + 0 LIMIT %(limit)s
"""


def _statement(texts: str) -> str:
    """Return the statement that reads the next keys of each table. texts: the part for the participants' texts.

    It is one statement, so that all three tables are read at one moment. `id + 0` is ID_IN_ORDER.
    """
    return f"""
    SELECT {IdKind.INBOUND_MESSAGE}, id, at FROM ({texts}) AS inbound
    UNION ALL
    SELECT {IdKind.API_MESSAGE}, id, at FROM (
        SELECT id, created_at AS at FROM conversations_apimessage
        WHERE conversation_id = %(conversation)s AND id + 0 > %(api)s
        ORDER BY id + 0 LIMIT %(limit)s
    ) AS api
    UNION ALL
    SELECT {IdKind.OUTBOUND_MESSAGE}, id, at FROM (
        SELECT id, created_at AS at FROM conversations_outboundmessage
        WHERE conversation_id = %(conversation)s AND id + 0 > %(own)s AND kind IN ({_OWN})
        ORDER BY id + 0 LIMIT %(limit)s
    ) AS own
"""  # noqa: S608 - constants only


_KEYS, _KEYS_ON_SQLITE = _statement(_TEXTS_OF_EACH), _statement(_TEXTS_OF_ALL)


class Position(NamedTuple):
    """A place in the messages of a conversation: the last id that was read, of each table."""

    inbound: int = 0
    api: int = 0
    own: int = 0

    def after(self, key: "Key") -> "Position":
        match key.table:
            case IdKind.INBOUND_MESSAGE:
                return self._replace(inbound=key.pk)
            case IdKind.API_MESSAGE:
                return self._replace(api=key.pk)
        return self._replace(own=key.pk)


class Key(NamedTuple):
    """A message: its table, and the id of its row."""

    table: IdKind
    pk: int


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """What became of a message for one participant.

    position: of the participant; None if they are not known any more. price: EUR, or None while it is not known.
    The API does not show the rest: the outbound row's pk, since when it has its status, why, and by whom.
    """

    pk: int
    position: int | None
    status: str
    segments: int
    price: Decimal | None
    error: MessageError | None
    queued_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    since: datetime
    reason: str
    actor: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """A text in a conversation.

    author: the position of the participant who wrote it, or in whose name it was sent; None: the marketplace or the
    proxy. outcome: of a participant's text. text: None if it was erased or cannot be decrypted.
    missing_parts: of a long text, the parts that never arrived. written_by: the member of staff who wrote it, or "".
    reason: of the outcome, if the outcome does not say it.
    """

    id: str
    conversation_id: UUID
    kind: str
    author: int | None
    outcome: str | None
    text: str | None
    missing_parts: int
    created_at: datetime
    recipients: Sequence[Recipient]
    written_by: str = ""
    reason: str = ""

    @property
    def segments(self) -> int:
        return sum(each.segments for each in self.recipients)

    @property
    def price(self) -> Decimal | None:
        """The sum of the prices in EUR, or None while one is not known."""
        prices = [each.price for each in self.recipients]
        return None if None in prices else sum((price for price in prices if price is not None), Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Page:
    """Messages in order. position: to continue from."""

    messages: Sequence[Message]
    position: Position
    has_more: bool


def read_page(conversation: Conversation, after: Position, limit: int) -> Page:
    """Return up to `limit` messages of the conversation after this position, the oldest first."""
    keys = _keys(conversation, after, limit + 1)
    chosen = keys[:limit]
    found = load(conversation, chosen)
    position = after
    for key in chosen:
        position = position.after(key)
    # A message that was deleted since is left out.
    return Page(messages=[found[key] for key in chosen if key in found], position=position, has_more=len(keys) > limit)


def find_message(id: str, service_id: int | None) -> Message | None:
    """Return the message with this public id, or None if this service has no such message."""
    for table, conversations in (
        (IdKind.INBOUND_MESSAGE, _conversation_of_text),
        (IdKind.API_MESSAGE, _conversation_of_api_message),
        (IdKind.OUTBOUND_MESSAGE, _conversation_of_own_message),
    ):
        pk, extra = row_id(table, id) or (0, 0)
        if pk and not extra:
            key = Key(table, pk)
            conversation = conversations(key.pk).filter(service=service_id).first()
            return load(conversation, [key]).get(key) if conversation else None
    return None


def message_of(message: ApiMessage) -> Message:
    """Return a message that was just sent."""
    key = Key(IdKind.API_MESSAGE, message.pk)
    return load(message.conversation, [key])[key]


def _conversation_of_text(pk: int) -> "QuerySet[Conversation]":
    texts = InboundMessage.objects.filter(pk=pk).exclude(outcome__in=_PARTS)
    return Conversation.objects.filter(pk__in=texts.values("participant__conversation"))


def _conversation_of_api_message(pk: int) -> "QuerySet[Conversation]":
    return Conversation.objects.filter(pk__in=ApiMessage.objects.filter(pk=pk).values("conversation"))


def _conversation_of_own_message(pk: int) -> "QuerySet[Conversation]":
    own = OutboundMessage.objects.filter(pk=pk, kind__in=OWN_KINDS)
    return Conversation.objects.filter(pk__in=own.values("conversation"))


def _keys(conversation: Conversation, after: Position, limit: int) -> list[Key]:
    """Return the keys of the next messages: each table in the order of its ids, and the tables merged by time."""
    statement = _KEYS if prepared.is_postgresql() else _KEYS_ON_SQLITE
    rows = prepared.fetch_all(statement, {"conversation": conversation.pk, "limit": limit, **after._asdict()})
    waiting: defaultdict[IdKind, list[tuple[datetime, Key]]] = defaultdict(list)
    for table, pk, at in rows:
        waiting[IdKind(table)].append((from_stored(at), Key(IdKind(table), pk)))
    queues = [sorted(queue, key=lambda each: -each[1].pk) for queue in waiting.values()]
    keys: list[Key] = []
    while queues and len(keys) < limit:
        first = min(queues, key=lambda queue: queue[-1])
        keys.append(first.pop()[1])
        queues = [queue for queue in queues if queue]
    return keys


def load(conversation: Conversation, keys: Collection[Key]) -> Mapping[Key, Message]:
    """Return the messages with these keys."""
    ids = {table: [key.pk for key in keys if key.table == table] for table in IdKind}
    texts = InboundMessage.objects.defer("raw").in_bulk(ids[IdKind.INBOUND_MESSAGE])
    asked = ApiMessage.objects.in_bulk(ids[IdKind.API_MESSAGE])
    own = OutboundMessage.objects.in_bulk(ids[IdKind.OUTBOUND_MESSAGE])
    sent = OutboundMessage.objects.defer("text").order_by("pk")
    # Two queries instead of one with OR, which would use no index.
    relays, legs = list(sent.filter(inbound__in=texts)), list(sent.filter(api_message__in=asked))
    recipients = _Recipients(conversation, [*relays, *legs, *own.values()])
    of_text, of_asked = recipients.by(relays, "inbound_id"), recipients.by(legs, "api_message_id")
    found: dict[Key, Message] = {}
    for pk, text in texts.items():
        found[Key(IdKind.INBOUND_MESSAGE, pk)] = Message(
            id=public_id(IdKind.INBOUND_MESSAGE, pk),
            conversation_id=conversation.public_id,
            kind=TEXT,
            author=recipients.positions.get(text.participant_id),
            outcome=text.outcome,
            text=text.text if text.outcome == InboundOutcome.EMPTY else _readable(text.text),
            missing_parts=text.missing_parts,
            created_at=text.received_at,
            recipients=of_text[pk],
            reason=text.reason,
        )
    for pk, message in asked.items():
        found[Key(IdKind.API_MESSAGE, pk)] = Message(
            id=public_id(IdKind.API_MESSAGE, pk),
            conversation_id=conversation.public_id,
            kind=MessageKind.API.value,
            author=recipients.positions.get(message.author_id),
            outcome=None,
            text=_readable(message.text),
            missing_parts=0,
            created_at=message.created_at,
            recipients=of_asked[pk],
            written_by=message.written_by,
        )
    for pk, leg in own.items():
        found[Key(IdKind.OUTBOUND_MESSAGE, pk)] = Message(
            id=public_id(IdKind.OUTBOUND_MESSAGE, pk),
            conversation_id=conversation.public_id,
            kind=leg.kind,
            author=None,
            outcome=None,
            text=_readable(leg.text),
            missing_parts=0,
            created_at=leg.created_at,
            recipients=[recipients.of(leg)],
        )
    return found


def _readable(text: str) -> str | None:
    return None if isinstance(text, Unreadable) else text or None


class _Change(NamedTuple):
    """The last change of a message to a state. at: None if its event was deleted."""

    at: datetime | None
    reason: str
    actor: str


_UNKNOWN_CHANGE = _Change(None, "", "")


class _Recipients:
    """What is known about these outbound messages, loaded in three queries."""

    def __init__(self, conversation: Conversation, messages: Sequence[OutboundMessage]) -> None:
        people = Participant.objects.filter(conversation=conversation).order_by("pk")
        self._positions_of_people: dict[int, int] = {}
        self.positions: dict[int | None, int] = {}
        for pk, position, person_id in people.values_list("pk", "position", "real_number"):
            self.positions[pk] = self._positions_of_people[person_id] = position
        pks = [message.pk for message in messages]
        self._prices = _prices(pks)
        self._events: defaultdict[int, dict[str, _Change]] = defaultdict(dict)
        events = MessageEvent.objects.filter(message__in=pks, new_state__in=_SHOWN).order_by("pk")
        for pk, state, at, reason, actor in events.values_list("message", "new_state", "created_at", "reason", "actor"):
            self._events[pk][state] = _Change(at, reason, actor)

    def by(self, messages: Sequence[OutboundMessage], field: str) -> Mapping[int, Sequence[Recipient]]:
        """Return what is known of these messages, by the value of the field, in the order of the participants."""
        found: defaultdict[int, list[Recipient]] = defaultdict(list)
        for message in messages:
            found[getattr(message, field)].append(self.of(message))
        for each in found.values():
            each.sort(key=lambda recipient: (recipient.position is None, recipient.position))
        return found

    def of(self, message: OutboundMessage) -> Recipient:
        events, state = self._events[message.pk], message.state
        last = events.get(state, _UNKNOWN_CHANGE)
        settled_at = last.at if state in _SETTLED else None
        sent_at = events.get(OutboundState.SENT, _UNKNOWN_CHANGE).at
        if sent_at is None and state in (OutboundState.DELIVERED, OutboundState.UNDELIVERED):
            sent_at = settled_at  # The receipt was faster than our own record.
        position = self.positions.get(message.participant_id)
        if position is None:
            position = self._positions_of_people.get(message.recipient_id)
        return Recipient(
            pk=message.pk,
            position=position,
            status=state,
            segments=message.part_count or message.segments,
            price=self._price(message),
            error=error_of(state, message.error_code, last.reason),
            queued_at=message.created_at,
            sent_at=sent_at,
            settled_at=settled_at,
            since=last.at or message.created_at,
            reason=last.reason,
            actor=last.actor,
        )

    def _price(self, message: OutboundMessage) -> Decimal | None:
        if message.pk in self._prices:
            return self._prices[message.pk]
        was_never_sent = message.state in (OutboundState.FAILED, OutboundState.CANCELLED)
        return Decimal(0) if was_never_sent else None


def _prices(pks: Sequence[int]) -> Mapping[int, Decimal | None]:
    """Return the price of each message of which the carrier has told something. None: it has not told all of it."""
    told = OutboundPart.objects.filter(message__in=pks).order_by().values_list("message")
    sums = told.annotate(Sum("price"), unknown=Count("pk", filter=Q(price=None)))
    return {pk: None if unknown else price for pk, price, unknown in sums}

"""What waits for a person: texts without a route, unknown outcomes and conversations on hold, as one list by time.

The list is read from these rows, through their partial indexes, so an item that settles itself is gone at once. Texts
of one person to one number are one item: that of the oldest, which stays the same while more texts arrive.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from conversations.models import Conversation, ConversationState, InboundMessage, InboxItem, InboxKind, OutboundMessage
from conversations.models.inbox_item import FIELD_OF, InboxRow
from smsproxy.database.clock import database_now

PAGE = 20
# The most waiting texts that are read at once, and for one page: one machine may have sent thousands.
SCANNED = 500
MOST_SCANS = 8
MOST_TEXTS = 20
_KINDS = tuple(InboxKind)
# The time since which an item of this kind waits.
WAITS_SINCE = {InboxKind.TEXT: "received_at", InboxKind.UNKNOWN: "due_at", InboxKind.HOLD: "held_at"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """The place of an item in the list. kind: its position in InboxKind."""

    at: datetime
    kind: int
    pk: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the place of this cursor, or None if it is not one of ours."""
        with suppress(ValueError, OverflowError):
            micros, kind, pk = map(int, text.split("-"))
            if 0 <= kind < len(_KINDS) and 0 < pk < 2**63:
                return cls(_EPOCH + timedelta(microseconds=micros), kind, pk)
        return None

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.kind}-{self.pk}"


@dataclass(kw_only=True)
class Waiting:
    """One thing that waits. taken_by: the user name of who has taken it, or "".

    texts: their number, MOST_TEXTS + 1 at most. last_pk: of the newest of those that staff see, the oldest MOST_TEXTS.
    last_at: of the newest of all.
    """

    kind: InboxKind
    row: Any
    taken_by: str = ""
    taken_at: datetime | None = None
    texts: int = 1
    last_pk: int | None = None
    last_at: datetime | None = None

    @property
    def has_more(self) -> bool:
        """Whether more texts wait than staff see at once."""
        return self.texts > MOST_TEXTS

    @property
    def since(self) -> datetime:
        """The time since which it waits."""
        since: datetime = getattr(self.row, WAITS_SINCE[self.kind])
        return since


@dataclass(frozen=True, kw_only=True)
class Filters:
    """kinds: empty means every kind. mine: only what the actor has taken. free: only what nobody has taken."""

    actor: str
    kinds: Sequence[InboxKind] = ()
    mine: bool = False
    free: bool = False
    oldest_first: bool = False


class Page(NamedTuple):
    """A page of the list. after: the cursor of the next page, or None at the end."""

    items: Sequence[Waiting]
    after: Place | None


def rows_of(kind: InboxKind, at: datetime) -> "QuerySet[Any]":
    """Return the rows of this kind that wait at this time. Of several texts that are one item, each is among them."""
    if kind == InboxKind.TEXT:
        return InboundMessage.objects.waiting(at).order_by()
    if kind == InboxKind.UNKNOWN:
        return OutboundMessage.objects.awaiting_decision(at).order_by()
    return Conversation.objects.filter(state=ConversationState.OPEN, held_at__isnull=False).order_by()


def waiting_page(filters: Filters, after: Place | None = None) -> Page:
    """Return the next page of the list. It is empty only at the end, or after many texts that are one item."""
    for _ in range(MOST_SCANS):
        page = _page(filters, after)
        if page.items or page.after is None:
            break
        after = page.after
    return page


def _page(filters: Filters, after: Place | None) -> Page:
    now = database_now()
    scans = [_scan(kind, filters, after, now) for kind in filters.kinds or _KINDS]
    places = merge(*(scan.places for scan in scans), reverse=not filters.oldest_first)
    horizons = [scan.horizon for scan in scans if scan.horizon]
    if horizons:
        # Beyond it, texts that were not read may come first.
        horizon = min(horizons) if filters.oldest_first else max(horizons)
        places = (each for each in places if (each <= horizon if filters.oldest_first else each >= horizon))
    found = list(islice(places, PAGE + 1))
    if len(found) > PAGE:
        return Page(_load(found[:PAGE], now), found[PAGE - 1])
    return Page(_load(found, now), horizon if horizons else None)


def waiting_item(kind: InboxKind, pk: int) -> Waiting | None:
    """Return the item of this row, or None if it does not wait. Of texts that are one item, any row names it."""
    now = database_now()
    rows = rows_of(kind, now)
    if kind == InboxKind.TEXT:
        if (text := rows.filter(pk=pk).defer("text", "raw").first()) is None:
            return None
        like = InboundMessage.objects.waiting(now).like(text)
        pk = like.order_by("pk").values_list("pk", flat=True).first() or pk
    elif not rows.filter(pk=pk).exists():
        return None
    found = _load([Place(now, _KINDS.index(kind), pk)], now)
    return found[0] if found else None


def texts_of(item: Waiting) -> Sequence[InboundMessage]:
    """Return the texts of an item, oldest first, MOST_TEXTS at most."""
    waiting = InboundMessage.objects.waiting(database_now()).like(item.row)
    return list(waiting.select_related("sender", "virtual_number").order_by("pk")[:MOST_TEXTS])


class _Scan(NamedTuple):
    """Places in order. horizon: the last row that was read, if more texts may follow it."""

    places: Sequence[Place]
    horizon: Place | None = None


def _scan(kind: InboxKind, filters: Filters, after: Place | None, now: datetime) -> _Scan:
    """Return the next places of this kind, one more than a page has."""
    time, number = WAITS_SINCE[kind], _KINDS.index(kind)
    rows = rows_of(kind, now)
    taken = InboxItem.objects.taken_since(OuterRef(time)).filter(**{FIELD_OF[kind]: OuterRef("pk")})
    if filters.mine:
        mine = InboxItem.objects.taken().filter(taken_by=filters.actor, **{f"{FIELD_OF[kind]}__isnull": False})
        rows = rows.filter(Exists(taken.filter(taken_by=filters.actor)), pk__in=mine.values(FIELD_OF[kind]))
    if filters.free:
        rows = rows.filter(~Exists(taken))
    if after is not None:
        rows = rows.filter(_beyond(time, number, after, oldest_first=filters.oldest_first))
    sign = "" if filters.oldest_first else "-"
    rows = rows.order_by(f"{sign}{time}", f"{sign}pk")
    if kind != InboxKind.TEXT:
        return _Scan([Place(at, number, pk) for at, pk in rows.values_list(time, "pk")[: PAGE + 1]])
    read = list(with_is_first(rows, now).values_list(time, "pk", "is_first")[:SCANNED])
    horizon = Place(read[-1][0], number, read[-1][1]) if len(read) == SCANNED else None
    return _Scan([Place(at, number, pk) for at, pk, is_first in read if is_first], horizon)


def _beyond(time: str, kind: int, after: Place, *, oldest_first: bool) -> Q:
    """Return the filter of the rows of this kind that come later in the list. It begins with a range of the index."""
    than = "gt" if oldest_first else "lt"
    if kind == after.kind:
        same_moment = Q(**{time: after.at, f"pk__{than}": after.pk})
        return Q(**{f"{time}__{than}e": after.at}) & (Q(**{f"{time}__{than}": after.at}) | same_moment)
    comes_later = kind > after.kind if oldest_first else kind < after.kind
    return Q(**{f"{time}__{than}{'e' if comes_later else ''}": after.at})


def with_is_first(texts: "QuerySet[Any]", now: datetime) -> "QuerySet[Any]":
    """Annotate each text with whether it is the oldest that waits of its sender to its number."""
    same = InboundMessage.objects.waiting(now).order_by()
    earlier = same.filter(sender=OuterRef("sender"), virtual_number=OuterRef("virtual_number"), pk__lt=OuterRef("pk"))
    annotated: QuerySet[Any] = texts.annotate(is_first=~Exists(earlier))
    return annotated


class _Count(models.Subquery):
    """The number of rows of a subquery."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS counted)"
    output_field = models.IntegerField()


def _load(places: Sequence[Place], now: datetime) -> Sequence[Waiting]:
    """Read the rows of these places, in their order, with one query for each kind."""
    found: dict[tuple[int, int], Waiting] = {}
    for number, kind in enumerate(_KINDS):
        pks = [place.pk for place in places if place.kind == number]
        for row in _with_relations(kind, now).filter(pk__in=pks) if pks else ():
            found[number, row.pk] = _waiting(kind, row)
    return [found[place.kind, place.pk] for place in places if (place.kind, place.pk) in found]


def _with_relations(kind: InboxKind, now: datetime) -> "QuerySet[Any]":
    rows = rows_of(kind, now)
    if kind == InboxKind.HOLD:
        return rows.select_related("inbox_item", "service")
    if kind == InboxKind.UNKNOWN:
        related = ("inbox_item", "sender", "recipient", "conversation", "participant")
        return rows.select_related(*related).defer("text")
    same = InboundMessage.objects.waiting(now).filter(
        sender=OuterRef("sender"), virtual_number=OuterRef("virtual_number")
    )
    newest = same.order_by("-pk")
    found: QuerySet[Any] = rows.select_related("inbox_item", "sender", "virtual_number").annotate(
        texts=_Count(same.order_by("pk").values("pk")[: MOST_TEXTS + 1]),
        last_pk=Coalesce(
            models.Subquery(same.order_by("pk").values("pk")[MOST_TEXTS - 1 : MOST_TEXTS]),
            models.Subquery(newest.values("pk")[:1]),
        ),
        last_at=models.Subquery(newest.values("received_at")[:1]),
    )
    return found.defer("text", "raw")


def _waiting(kind: InboxKind, row: InboxRow) -> Waiting:
    item = Waiting(kind=kind, row=row)
    if kind == InboxKind.TEXT:
        item.texts = max(1, getattr(row, "texts", 1))
        item.last_pk = getattr(row, "last_pk", None) or row.pk
        item.last_at = getattr(row, "last_at", None) or item.since
    taken = getattr(row, "inbox_item", None)
    if taken and taken.taken_by and taken.done_at is None and taken.taken_at and taken.taken_at >= item.since:
        item.taken_by, item.taken_at = taken.taken_by, taken.taken_at
    return item

"""Read the feed: the events of a service after a cursor, oldest first.

A cursor is the id and the time of a position, encrypted as one opaque id. The id of an event is the cursor after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import attrgetter

from smsproxy.events.models import FeedEvent
from smsproxy.events.order import settled_end
from smsproxy.opaque_ids import IdKind, public_id, row_id

CURSORS_VALID = timedelta(days=30)
# Longer than a cursor is valid: a transaction may write events that are a little older than its place in the order.
KEPT = CURSORS_VALID + timedelta(hours=1)


class CursorInvalid(Exception):
    """The text is not a cursor of this installation."""


class CursorExpired(Exception):
    """Events after this cursor may have been deleted."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """A place in the order of events: after the event with this id, at this time. Every service has the same places."""

    event_id: int
    at: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Return the position of a cursor. Raises CursorInvalid."""
        found = row_id(IdKind.EVENT, text)
        if found is None:
            raise CursorInvalid
        event_id, seconds = found
        return cls(event_id=event_id, at=datetime.fromtimestamp(seconds, UTC))

    @property
    def cursor(self) -> str:
        return public_id(IdKind.EVENT, self.event_id, int(self.at.timestamp()) if self.at else 0)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Events in order, and the cursor to go on from."""

    events: Sequence[FeedEvent]
    cursor: str


BEGINNING = Position(event_id=0)


def cursor_of(event: FeedEvent) -> str:
    """Return the public id of an event, which is the cursor after it."""
    return Position(event_id=event.pk, at=event.created_at).cursor


def read_latest() -> str:
    """Return a cursor after all events that exist now."""
    end, now = settled_end()
    return Position(event_id=end, at=now).cursor


def read(service_id: int | None, after: Position, *, limit: int, is_operator: bool) -> Page:
    """Return up to `limit` events of the service after this position. Raises CursorExpired.

    is_operator: also the events of no service, which are about numbers and troubles. The cursor passes the events of
    other services, so that the next read does not walk over them.
    """
    end, now = settled_end()
    if after.at is not None and after.at < now - CURSORS_VALID:
        raise CursorExpired
    if service_id is None:
        raise ValueError("expected a service, found none")
    owners = [service_id, None] if is_operator else [service_id]
    found = [_events(owner, after.event_id, end, limit) for owner in owners]
    events = list(merge(*found, key=attrgetter("pk")))[:limit]
    if len(events) == limit:
        return Page(events=events, cursor=cursor_of(events[-1]))
    return Page(events=events, cursor=Position(event_id=max(end, after.event_id), at=now).cursor)


def _events(service_id: int | None, after: int, end: int, limit: int) -> Sequence[FeedEvent]:
    rows = FeedEvent.objects.filter(service_id=service_id, pk__gt=after, pk__lte=end)
    # By both columns of the index. PostgreSQL would sort those without a service by the id alone.
    return list(rows.order_by("service_id", "pk")[:limit])

"""A conversation as staff read it: its messages, its events, the notes on it and acts of staff, in one order of time.

All but the acts come from five tables. A position is, for each of them, the id before which to read on, and for the
acts the time, as a number: a page continues towards the past. It is read in a fixed number of queries. On PostgreSQL
they read rows in proportion to the page and the number of participants, except the few events, notes and acts of staff
of this conversation.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from conversations.insight.message_history import Key, Message, load
from conversations.insight.staff_acts import StaffAct, staff_acts
from conversations.models import Conversation, ConversationEvent, ConversationNote
from conversations.models.outbound_state import OWN_KINDS
from smsproxy.database import prepared
from smsproxy.database.clock import from_stored
from smsproxy.opaque_ids import IdKind
from smsproxy.values import id_in_url

PAGE = 100
_LAST = 2**63 - 1
_TABLES = ("inbound", "api", "own", "event", "note", "act")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGES = {"inbound": IdKind.INBOUND_MESSAGE, "api": IdKind.API_MESSAGE, "own": IdKind.OUTBOUND_MESSAGE}

_OWN = ", ".join(f"'{kind}'" for kind in OWN_KINDS)
# The last texts of each participant, each at most a page of them. SQLite has no LATERAL, so it sorts all texts.
_TEXTS_OF_EACH = """
    SELECT text.id, text.at FROM conversations_participant AS participant CROSS JOIN LATERAL (
        SELECT id, received_at AS at FROM conversations_inboundmessage
        WHERE participant_id = participant.id AND id + 0 < %(inbound)s AND outcome NOT IN ('part', 'duplicate_part')
        ORDER BY id + 0 DESC LIMIT %(limit)s
    ) AS text
    WHERE participant.conversation_id = %(conversation)s
    ORDER BY text.id DESC LIMIT %(limit)s
"""
_TEXTS_OF_ALL = """
    SELECT id, received_at AS at FROM conversations_inboundmessage
    WHERE participant_id IN (SELECT id FROM conversations_participant WHERE conversation_id = %(conversation)s)
    AND id + 0 < %(inbound)s AND outcome NOT IN ('part', 'duplicate_part')
    ORDER BY id + 0 DESC LIMIT %(limit)s
"""

# The event of the beginning is written after the first messages.
_AT_OF_EVENT = """
    CASE WHEN old_state = '' THEN (SELECT created_at FROM conversations_conversation WHERE id = %(conversation)s)
    ELSE created_at END
"""


def _rows(name: str, table: str, condition: str = "", at: str = "created_at") -> str:
    return f"""
        UNION ALL SELECT '{name}', id, at FROM (
            SELECT id, {at} AS at FROM conversations_{table}
            WHERE conversation_id = %(conversation)s AND id + 0 < %({name})s {condition}
            ORDER BY id + 0 DESC LIMIT %(limit)s
        ) AS {name}
    """  # noqa: S608 - constants only


def _statement(texts: str) -> str:
    """Return the statement that reads the last keys of each table. texts: the part for the participants' texts.

    `id + 0` is ID_IN_ORDER.
    """
    return (
        f"SELECT 'inbound', id, at FROM ({texts}) AS inbound"  # noqa: S608 - constants only
        + _rows("api", "apimessage")
        + _rows("own", "outboundmessage", f"AND kind IN ({_OWN})")
        + _rows("event", "conversationevent", at=_AT_OF_EVENT)
        + _rows("note", "conversationnote")
    )


_KEYS, _KEYS_ON_SQLITE = _statement(_TEXTS_OF_EACH), _statement(_TEXTS_OF_ALL)


class Before(NamedTuple):
    """A place in the thread: of each table, the id before which to read on. act: see _numbered."""

    inbound: int = _LAST
    api: int = _LAST
    own: int = _LAST
    event: int = _LAST
    note: int = _LAST
    act: int = _LAST

    def __str__(self) -> str:
        return "-".join("" if pk == _LAST else str(pk) for pk in self)

    @classmethod
    def read(cls, text: str) -> "Before | None":
        """Return the place that was written by str, or None if this is none."""
        parts = text.split("-")
        ids = [id_in_url(part) if part else _LAST for part in parts]
        if len(ids) != len(_TABLES) or None in ids:
            return None
        return cls(*(each for each in ids if each is not None))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the thread: a message, an event, a note or an act of staff."""

    at: datetime
    message: Message | None = None
    event: ConversationEvent | None = None
    note: ConversationNote | None = None
    act: StaffAct | None = None


@dataclass(frozen=True, kw_only=True)
class ThreadPage:
    """Entries, the oldest first. earlier: where the page before it ends, or None if this one has the beginning."""

    entries: Sequence[Entry]
    earlier: Before | None


class _Found(NamedTuple):
    at: datetime
    table: str
    pk: int


def read_thread(conversation: Conversation, before: Before | None = None, limit: int = PAGE) -> ThreadPage:
    """Return the last entries of the conversation before this place, at most `limit`. None: the newest ones."""
    before = before or Before()
    acts = _numbered(staff_acts(conversation))
    found = _last(conversation, before, limit + 1, acts)
    chosen = found[:limit]
    entries = _load(conversation, chosen, acts)
    shown = [entries[each] for each in reversed(chosen) if each in entries]
    for each in chosen:
        before = before._replace(**{each.table: each.pk})
    return ThreadPage(entries=shown, earlier=before if len(found) > limit else None)


def _numbered(acts: Sequence[StaffAct]) -> dict[int, StaffAct]:
    """Return the acts by numbers in the order of time: microseconds, or one more than that of the act before."""
    numbered: dict[int, StaffAct] = {}
    last = 0
    for act in acts:
        last = max((act.at - _EPOCH) // timedelta(microseconds=1), last + 1)
        numbered[last] = act
    return numbered


def _last(conversation: Conversation, before: Before, limit: int, acts: Mapping[int, StaffAct]) -> list[_Found]:
    """Return the last entries: each table in the order of its ids, and the tables merged by time, the newest first."""
    statement = _KEYS if prepared.is_postgresql() else _KEYS_ON_SQLITE
    rows = prepared.fetch_all(statement, {"conversation": conversation.pk, "limit": limit, **before._asdict()})
    waiting: defaultdict[str, list[_Found]] = defaultdict(list)
    for table, pk, at in rows:
        waiting[table].append(_Found(from_stored(at), table, pk))
    for number, act in acts.items():
        if number < before.act:
            waiting["act"].append(_Found(act.at, "act", number))
    queues = [sorted(queue, key=lambda each: each.pk) for queue in waiting.values()]
    found: list[_Found] = []
    while queues and len(found) < limit:
        # At one moment, an event is older than the message that it causes: "created", and then the confirmation.
        last = max(queues, key=lambda queue: (queue[-1].at, -_TABLES.index(queue[-1].table)))
        found.append(last.pop())
        queues = [queue for queue in queues if queue]
    return found


def _load(conversation: Conversation, found: Sequence[_Found], acts: Mapping[int, StaffAct]) -> dict[_Found, Entry]:
    ids: defaultdict[str, list[int]] = defaultdict(list)
    for each in found:
        ids[each.table].append(each.pk)
    messages = load(conversation, [Key(_MESSAGES[each.table], each.pk) for each in found if each.table in _MESSAGES])
    events = ConversationEvent.objects.in_bulk(ids["event"])
    notes = ConversationNote.objects.in_bulk(ids["note"])
    entries: dict[_Found, Entry] = {}
    for each in found:
        entry = Entry(
            at=each.at,
            message=messages.get(Key(_MESSAGES[each.table], each.pk)) if each.table in _MESSAGES else None,
            event=events.get(each.pk) if each.table == "event" else None,
            note=notes.get(each.pk) if each.table == "note" else None,
            act=acts.get(each.pk) if each.table == "act" else None,
        )
        if entry.message or entry.event or entry.note or entry.act:  # Otherwise it was deleted since.
            entries[each] = entry
    return entries

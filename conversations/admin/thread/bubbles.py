"""The lines of the thread, ready for the template. A text that is covered is not among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _

from conversations.admin.thread.people import People, Person
from conversations.admin.thread.words import KINDS, OUTCOMES, EventLine, Fate, cover_of, event_line, fate_of, staff_line
from conversations.insight.message_history import TEXT, Message, Recipient
from conversations.insight.thread import Entry
from conversations.models import ConversationNote, InboundOutcome, MessageKind, OutboundState


@dataclass(frozen=True)
class Delivery:
    """A recipient of a text: their name, what became of it, and what staff can do. pk: of the outbound message."""

    name: str
    fate: Fate
    pk: int
    may_resend: bool
    may_drop: bool


@dataclass(frozen=True, kw_only=True)
class Bubble:
    """A text. person: its author, or None if it is from the service or from us. kind: of our own text, in words.

    text: None if it is covered or gone. cover: the name of the bar that stands for it, and its words.
    """

    at: datetime
    person: Person | None
    author: str
    to: str
    kind: str
    text: str | None
    cover: tuple[str, str] | None
    gone: str
    outcome: str
    reason: str
    missing_parts: int
    deliveries: Sequence[Delivery]

    @property
    def place(self) -> str:
        if self.person is None:
            return "centre"
        return "left" if self.person.is_left else "right"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the thread: a bubble, a note or an event. is_new_day: the day, in UTC, stands before it.

    event: of the conversation, or an act of staff.
    """

    at: datetime
    is_new_day: bool
    bubble: Bubble | None = None
    note: ConversationNote | None = None
    event: EventLine | None = None
    actor: str = field(default="")


def lines_of(
    entries: Sequence[Entry], people: People, *, shows_texts: bool, shows_notes: bool, shows_blocks: bool
) -> Sequence[Line]:
    """Return the lines of these entries, without those that the viewer has no right to see."""
    lines: list[Line] = []
    names = people.names
    for entry in entries:
        if (entry.note and not shows_notes) or (entry.act and entry.act.is_of_block and not shows_blocks):
            continue
        lines.append(
            Line(
                at=entry.at,
                is_new_day=not lines or lines[-1].at.date() != entry.at.date(),
                bubble=_bubble(entry.message, people, shows_texts=shows_texts) if entry.message else None,
                note=entry.note,
                event=_event(entry, names),
                actor=happened.actor if (happened := entry.event or entry.act) else "",
            )
        )
    return lines


def _event(entry: Entry, names: Mapping[int, str]) -> EventLine | None:
    if entry.act:
        return staff_line(entry.act, names)
    return event_line(entry.event, names) if entry.event else None


def _bubble(message: Message, people: People, *, shows_texts: bool) -> Bubble:
    names = people.names
    person = people.by_position.get(message.author) if message.author is not None else None
    text, gone = message.text, ""
    if text == "":
        gone = _("The text is empty.")
    elif text is None:
        gone = _("The text was erased, or no key of ours decrypts it.")
    is_passed_on = message.outcome in (None, InboundOutcome.RELAYED)
    return Bubble(
        at=message.created_at,
        person=person,
        author=_author(message, person),
        to=", ".join(_name(each, names) for each in message.recipients),
        kind=_kind(message, person),
        text=text if shows_texts and not gone else None,
        cover=cover_of(text) if text and not shows_texts else None,
        gone=gone,
        outcome="" if is_passed_on else str(OUTCOMES.get(message.outcome or "", message.outcome)),
        reason=message.reason,
        missing_parts=message.missing_parts,
        deliveries=[_delivery(each, names) for each in message.recipients],
    )


def _kind(message: Message, person: Person | None) -> str:
    if message.kind == TEXT:
        return ""
    if message.kind == MessageKind.API:
        return _("sent by the service in their name") if person else ""
    return str(KINDS.get(message.kind, message.kind))


def _author(message: Message, person: Person | None) -> str:
    if message.written_by:
        return _("Service, by %(user)s") % {"user": message.written_by}
    if person is not None:
        return person.name
    if message.kind == TEXT:
        return _("Somebody")
    return _("Service") if message.kind == MessageKind.API else _("smsproxy")


def _name(recipient: Recipient, names: Mapping[int, str]) -> str:
    return names.get(recipient.position, _("Somebody")) if recipient.position is not None else _("Somebody")


def _delivery(recipient: Recipient, names: Mapping[int, str]) -> Delivery:
    return Delivery(
        name=_name(recipient, names),
        fate=fate_of(recipient),
        pk=recipient.pk,
        may_resend=recipient.status == OutboundState.UNKNOWN,
        may_drop=recipient.status in (OutboundState.UNKNOWN, OutboundState.QUEUED),
    )

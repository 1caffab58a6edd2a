"""Find conversations, messages and numbers by an id, a reference or a virtual number: whole, or its beginning.

Each look-up is one query that an index serves, of at most SHOWN rows and one more. A person's number is not looked up
here: see numbers/admin/find_person.py.
"""

import re
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Q, QuerySet

from conversations.models import ApiMessage, Conversation, InboundMessage, OutboundMessage, OutboundPart, Participant
from conversations.models.message_order import ID_IN_ORDER
from numbers.models import NumberOrder, Pool, VirtualNumber
from smsproxy.opaque_ids import IdKind, row_id
from smsproxy.phone import MAX_DIGITS
from smsproxy.phone_spellings import calling_code, digits_of, possible_numbers
from smsproxy.services.models import Service
from smsproxy.staff.model_admin import split_numbers

SHOWN = 20
"""The most rows of a kind."""
MAX_LENGTH = 100
"""No reference, the longest of all ids, has more characters."""
_ID_BEGINNING = 4
"""The fewest characters of an id: fewer are the beginning of too many."""
_COMPARED = len("+4477009")
"""The most characters of a number's beginning that a statement may hold."""


class Kind(StrEnum):
    """What can be found."""

    CONVERSATION = "conversation"
    MESSAGE = "message"
    NUMBER = "number"
    POOL = "pool"
    SERVICE = "service"
    ORDER = "order"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A row that was found. is_exact: the whole name or id was given. conversation: of a message, if it has one."""

    row: Any
    is_exact: bool
    conversation: Conversation | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of a kind: those whose whole name was given first, then the newest. has_more: there are others."""

    kind: Kind
    hits: list[Hit]
    has_more: bool


def find(text: str, kinds: Collection[Kind]) -> list[Group]:
    """Return what this text names, of these kinds. Kinds without a row are left out.

    "ref:" before it: it is a reference. A whole number is compared by its hash, and with numbers only: it may be a
    person's, and a database logs what it compares.
    """
    term, is_reference = as_reference(text)
    wanted = set(kinds) if term else set()
    if is_reference:
        wanted &= {Kind.CONVERSATION}
    elif is_whole_number(term):
        wanted &= {Kind.NUMBER}
    groups = []
    for kind in (kind for kind in Kind if kind in wanted):
        hits = list({(type(hit.row), hit.row.pk): hit for hit in reversed(list(_FINDERS[kind](term)))}.values())
        hits.sort(key=lambda hit: (hit.is_exact, hit.row.pk), reverse=True)
        if hits:
            groups.append(Group(kind=kind, hits=hits[:SHOWN], has_more=len(hits) > SHOWN))
    return groups


def as_reference(text: str) -> tuple[str, bool]:
    """Return the text without a "ref:" before it, and whether it has one."""
    term = text.strip()
    is_reference = term[:4].lower() == "ref:"
    return (term[4:].strip() if is_reference else term)[:MAX_LENGTH].replace("\x00", ""), is_reference


def find_conversations(text: str, limit: int = SHOWN) -> list[int]:
    """Return the ids of conversations with this reference or id, or the beginning of one."""
    term, _ = as_reference(text)
    return list(dict.fromkeys(hit.row.pk for hit in _conversations(term, limit))) if term else []


def is_whole_number(text: str) -> bool:
    """Return whether the text is, or holds, a whole phone number in any spelling."""
    return bool(split_numbers(text)[1] or _whole(text))


def find_virtual_numbers(text: str) -> list[VirtualNumber]:
    """Return our number in any spelling, or those that begin with these digits. A whole number is compared by hash."""
    if whole := _whole(text):
        return list(VirtualNumber.objects.with_number(*whole).order_by("number"))
    digits = digits_of(text)
    if not 3 <= len(digits.lstrip("+")) <= MAX_DIGITS:
        return []
    beginnings = tuple(_beginnings(digits))
    # The statement holds the beginning of the beginning: of a person's number, it would hold too much.
    match = Q(*(Q(number__startswith=each[:_COMPARED]) for each in beginnings), _connector=Q.OR)
    alike = VirtualNumber.objects.filter(match).order_by("number")
    if max(map(len, beginnings)) > _COMPARED:
        numbers = alike.values_list("number", flat=True)
        alike = alike.filter(number__in=[each for each in numbers if each.startswith(beginnings)][: SHOWN + 1])
    return list(alike[: SHOWN + 1])


def conversations_of_number(number: VirtualNumber, limit: int = SHOWN) -> list[Participant]:
    """Return the newest participants who have had this number, with their conversations."""
    return list(newest_of(Participant.objects.filter(proxy_number=number), limit).select_related("conversation"))


def newest_of(participants: "QuerySet[Participant]", limit: int) -> "QuerySet[Participant]":
    """Return the newest of these participants of one person or number, by an index of exactly that order."""
    return participants.order_by(ID_IN_ORDER.desc())[:limit]


def _whole(text: str) -> list[str]:
    """Return the numbers that the text may be. Those of our own countries need no country code."""
    digits = digits_of(text)
    return possible_numbers(text, () if digits[:1] in ("", "+") else VirtualNumber.objects.countries())


def _beginnings(digits: str) -> Iterator[str]:
    if digits.startswith("+"):
        yield digits
    elif digits.startswith("00"):
        yield f"+{digits[2:]}"
    elif digits.startswith("0"):
        for country in VirtualNumber.objects.countries():
            yield f"+{calling_code(country)}{digits[1:]}"
    else:
        yield f"+{digits}"


def _conversations(term: str, limit: int = SHOWN) -> Iterator[Hit]:
    rows = Conversation.objects.select_related("service")
    for row in rows.filter(reference=term).order_by("-pk")[: limit + 1]:
        yield Hit(row=row, is_exact=True)
    # Without an order: sorted by the id, PostgreSQL may walk through all conversations for the rare matches.
    for row in rows.filter(reference__startswith=term).order_by()[: limit + 1]:
        if row.reference.startswith(term):  # SQLite does not tell capital from small letters.
            yield Hit(row=row, is_exact=row.reference == term)
    if span := hexadecimal_span(term):
        first, last = (uuid.UUID(each) for each in span)
        for row in rows.filter(public_id__range=(first, last)).order_by()[: limit + 1]:
            yield Hit(row=row, is_exact=first == last)


def _messages(term: str) -> Iterator[Hit]:
    yield from _by_api_id(term)
    outbound = OutboundMessage.objects.defer("text").select_related("conversation", "recipient", "sender")
    client_ref = term.partition(".")[0]  # The carrier repeats it with the number of the attempt.
    if (span := hexadecimal_span(client_ref)) and "-" not in client_ref:
        for message in outbound.filter(client_ref__range=span).order_by()[: SHOWN + 1]:
            yield _of(message, message.conversation, is_exact=span[0] == span[1])
    parts = OutboundPart.objects.filter(carrier_message_id=term).values("message")
    for message in outbound.filter(pk__in=parts):
        yield _of(message, message.conversation, is_exact=True)
    for text in _inbound().filter(carrier_message_id=term):
        yield _of(text, text.participant.conversation if text.participant else None, is_exact=True)


def _inbound() -> "QuerySet[InboundMessage]":
    return InboundMessage.objects.defer("text", "raw").select_related(
        "participant__conversation", "sender", "virtual_number"
    )


def _by_api_id(term: str) -> Iterator[Hit]:
    """Yield the message with this id in the API: one at most."""
    ids = ((kind, row_id(kind, term) or (0, 0)) for kind in _API_IDS)
    kind, pk = next(((kind, pk) for kind, (pk, extra) in ids if pk and not extra), (None, 0))
    if kind == IdKind.INBOUND_MESSAGE:
        for text in _inbound().filter(pk=pk):
            yield _of(text, text.participant.conversation if text.participant else None, is_exact=True)
    elif kind == IdKind.API_MESSAGE:
        for asked in ApiMessage.objects.defer("text").select_related("conversation").filter(pk=pk):
            yield _of(asked, asked.conversation, is_exact=True)
    elif kind == IdKind.OUTBOUND_MESSAGE:
        outbound = OutboundMessage.objects.defer("text").select_related("conversation", "recipient", "sender")
        for message in outbound.filter(pk=pk):
            yield _of(message, message.conversation, is_exact=True)


_API_IDS = (IdKind.INBOUND_MESSAGE, IdKind.API_MESSAGE, IdKind.OUTBOUND_MESSAGE)


def _of(message: Any, conversation: Conversation | None, *, is_exact: bool) -> Hit:
    return Hit(row=message, is_exact=is_exact, conversation=conversation)


def _numbers(term: str) -> Iterator[Hit]:
    is_whole = bool(_whole(term))
    return (Hit(row=number, is_exact=is_whole) for number in find_virtual_numbers(term))


def _named(rows: "QuerySet[Any]") -> Callable[[str], Iterator[Hit]]:
    """Return a finder of rows by the beginning of their name, in small or capital letters. There are few."""

    def find_named(term: str) -> Iterator[Hit]:
        for row in rows.filter(name__istartswith=term)[: SHOWN + 1]:
            yield Hit(row=row, is_exact=row.name.lower() == term.lower())

    return find_named


def _orders(term: str) -> Iterator[Hit]:
    """Yield the order with this id. Never exact: the digits may as well begin a reference."""
    if re.fullmatch(r"#?[0-9]{1,9}", term):
        for order in NumberOrder.objects.select_related("pool").filter(pk=int(term.lstrip("#"))):
            yield Hit(row=order, is_exact=False)


_FINDERS: dict[Kind, Callable[[str], Iterator[Hit]]] = {
    Kind.CONVERSATION: _conversations,
    Kind.MESSAGE: _messages,
    Kind.NUMBER: _numbers,
    Kind.POOL: _named(Pool.objects.all()),
    Kind.SERVICE: _named(Service.objects.all()),
    Kind.ORDER: _orders,
}


def hexadecimal_span(term: str) -> tuple[str, str] | None:
    """Return the first and the last id of 32 hexadecimal digits that begin so, or None if none can."""
    digits = term.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_ID_BEGINNING},32}}", digits):
        return None
    return digits.ljust(32, "0"), digits.ljust(32, "f")

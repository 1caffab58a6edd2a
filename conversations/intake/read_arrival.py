"""Find the author and the recipients of an inbound message, and whatever decides its outcome, in one statement.

The fast path, the general path, long messages and `explain_route` all decide on an `InboundContext`. A gate that needs
more gets a column in `_READ` and a field here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple, Self

from django.conf import settings

from conversations.models import Block, Conversation, LateMessagePolicy, OutboundMessage, Participant
from conversations.models.block import BlockedSender
from conversations.trust.keywords import Keyword, find_keyword
from conversations.trust.loop_breaker import Entry, find_loop
from conversations.trust.reactions import read_reaction
from numbers.models import RealNumber, VirtualNumber
from smsproxy.carriers import gsm7
from smsproxy.crypto import number_hash
from smsproxy.database.clock import from_stored
from smsproxy.database.prepared import fetch_all
from smsproxy.database.rows import instance

# One row for each person in the conversation of this pair of numbers, with the author's first. Without a conversation:
# one row. An author with a number that has been replaced is there too, besides their present self, and so is an author
# who is no longer in the conversation.
#
# Further look-ups are subqueries: with more joins, PostgreSQL takes ten times as long to plan it. Those that concern
# the author are made for the first row only.
_READ = """
    SELECT
        statement_timestamp(),
        EXISTS (
            SELECT 1 FROM numbers_virtualnumber own
            WHERE own.number_hash = %(sender_hash)s AND (own.is_rented OR own.state = 'ordered')
        ),
        CASE WHEN author.id IS NULL OR author.id = member.id THEN EXISTS (
            SELECT 1 FROM conversations_block block
            WHERE block.ended_at IS NULL AND (block.until IS NULL OR block.until > statement_timestamp())
            AND (block.person_id = sender.id OR block.other_id = sender.id OR block.prefix <> '')
        ) END,
        sender.id, sender.opted_out_at,
        proxy.id, proxy.number, proxy.can_sms, proxy.is_rented,
        conversation.id, conversation.state, conversation.expires_at, conversation.idle_ttl, conversation.idle_at,
        conversation.ttl,
        conversation.late_messages, conversation.route_version, conversation.held_at, conversation.public_id,
        conversation.service_id,
        CASE WHEN author.id = member.id THEN (
            SELECT recent FROM conversations_limitusage WHERE scope = 'conversation' AND subject_id = conversation.id
        ) END,
        member.id, member.position, member.label, member.conversation_id, member.real_number_id, member.proxy_number_id,
        member.side, member.one_way, member.replaced_by_id, member.removed_at, member.release_at, member.released_at,
        member.created_at,
        member_number.id, member_number.number, member_number.is_rented,
        CASE WHEN author.id <> member.id THEN (
            SELECT opted_out_at FROM numbers_realnumber WHERE id = member.real_number_id
        ) END
    FROM (SELECT 1) AS arrival
    LEFT JOIN numbers_virtualnumber proxy ON proxy.number_hash = %(recipient_hash)s
    LEFT JOIN numbers_realnumber sender ON sender.number_hash = %(sender_hash)s
    LEFT JOIN conversations_participant author ON author.real_number_id = sender.id
        AND author.proxy_number_id = proxy.id AND author.released_at IS NULL
    LEFT JOIN conversations_conversation conversation ON conversation.id = author.conversation_id
    LEFT JOIN conversations_participant member ON member.conversation_id = conversation.id
        AND (member.replaced_by_id IS NULL AND member.removed_at IS NULL OR member.id = author.id)
    LEFT JOIN numbers_virtualnumber member_number ON member_number.id = member.proxy_number_id
    ORDER BY author.id <> member.id, member.position
"""
_FLAGS = ("is_loop", "has_blocks")
_PERSON = ("id", "opted_out_at")
_NUMBER = ("id", "number", "can_sms", "is_rented")
_CONVERSATION = (
    "id", "state", "expires_at", "idle_ttl", "idle_at", "ttl", "late_messages", "route_version", "held_at", "public_id",
    "service_id",
)  # fmt: skip
_PARTICIPANT = (
    "id",
    "position",
    "label",
    "conversation_id",
    "real_number_id",
    "proxy_number_id",
    "side",
    "one_way",
    "replaced_by_id",
    "removed_at",
    "release_at",
    "released_at",
    "created_at",
)
_MEMBER_NUMBER = ("id", "number", "is_rented")
_TABLES = (
    ("now",), _FLAGS, _PERSON, _NUMBER, _CONVERSATION, ("recent",), _PARTICIPANT, _MEMBER_NUMBER, ("opted_out_at",),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InboundContext:
    """The body of a message, and all that the gates look at. They read nothing of their own.

    now: the database's time. written_at: the earliest time known of the message.
    is_loop: the sender is a virtual number of ours. sender: None if we do not know this real number. author: the
    participant who wrote it, with the conversation. It is None for a loop, and if no conversation has this pair of
    numbers now, or only one that is younger than the message.
    too_young: the participant of that younger conversation. predecessor: of the one that had the pair before.
    others: the other participants. recipients: those of them who may get it. An opt-out or a blocked pair excludes one.
    has_lost_number: somebody in the conversation has a number that may be somebody's in another conversation.
    has_opted_out_recipient: one of the others has opted out.
    is_blocked: staff blocked the sender, or a prefix of their number. recent: the memory of the loop breaker.
    """

    now: datetime
    written_at: datetime
    text: str = field(repr=False)
    is_loop: bool = False
    virtual_number: VirtualNumber | None = None
    sender: RealNumber | None = None
    author: Participant | None = None
    too_young: Participant | None = None
    predecessor: Participant | None = None
    others: Sequence[Participant] = ()
    recipients: Sequence[Participant] = ()
    has_lost_number: bool = False
    has_opted_out_recipient: bool = False
    is_blocked: bool = False
    recent: str = ""

    @cached_property
    def relayed_text(self) -> str:
        """The body as the others receive it. In a group or a team, it says who wrote it. A reaction is marked."""
        reaction = read_reaction(self.text) if settings.REACTIONS == "mark" else None
        body = reaction.marked if reaction else self.text
        if self.author is None or not self.author.is_named_to(self.others):
            return body
        return f"{self.author.name}: {body}"

    @cached_property
    def has_opted_out(self) -> bool:
        """Whether the sender has opted out."""
        return self.sender is not None and self.sender.opted_out_at is not None

    @cached_property
    def keyword(self) -> Keyword | None:
        """The keyword that the whole body is, or None."""
        return find_keyword(self.text, has_opted_out=self.has_opted_out)

    @cached_property
    def segments(self) -> int:
        """The number of SMS that relaying it takes."""
        return gsm7.segments(self.relayed_text).count

    @property
    def is_open(self) -> bool:
        return self.author is not None and self.author.conversation.is_live(self.now)

    @property
    def reopens(self) -> bool:
        """Whether this late message reopens its conversation, if no other gate stops it."""
        if self.author is None or self.is_open or self.has_lost_number:
            return False
        if self.author.is_out or self.author.one_way:
            return False
        conversation = self.author.conversation
        if conversation.fixed_end_has_passed(self.now):
            return False
        return conversation.late_messages == LateMessagePolicy.REOPEN

    @cached_property
    def entry(self) -> Entry:
        """What the loop breaker remembers of this message. It must have an author."""
        if self.author is None:
            raise ValueError("expected an author, found none")
        return Entry.of(self.author.conversation_id, self.author.position, self.text, self.written_at)

    @cached_property
    def loop(self) -> str:
        """Why this message completes a loop of machines. Empty: it does not, or its conversation is on hold already."""
        if self.author is None or self.author.conversation.held_at:
            return ""
        return find_loop(self.recent, self.entry)


def read_arrival(
    sender: str | None,
    recipient: str,
    text: str,
    *,
    written_at: datetime | None = None,
    first_part_at: datetime | None = None,
) -> InboundContext:
    """Return the context of a message from a real number (None: not a number) to a virtual number, both E.164.

    written_at: the earliest time known of the message. None, or in the future: now. first_part_at: see
    `Participant.is_younger_than`.
    """
    rows = fetch_all(
        _READ,
        {
            "sender_hash": number_hash(sender) if sender else None,
            "recipient_hash": number_hash(recipient),
        },
    )
    [stored_now], flags, person, number, conversation, [recent], author, *_ = _split(rows[0])
    is_loop, has_blocks = flags
    now = from_stored(stored_now)
    # A time that the carrier dates ahead decides nothing.
    written_at = min(written_at or now, now)
    virtual_number = instance(VirtualNumber, _NUMBER, number) if number[0] is not None else None
    blocked = BlockedSender()
    if has_blocks:
        # A text that belongs to no conversation is stopped by a block of any service.
        has_conversation, service_id = conversation[0] is not None, conversation[_CONVERSATION.index("service_id")]
        blocks = Block.objects.in_service(service_id) if has_conversation else Block.objects.all()
        blocked = blocks.of_sender(person[0], sender)
    context = InboundContext(
        now=now,
        text=text,
        is_loop=bool(is_loop),
        virtual_number=virtual_number,
        sender=instance(RealNumber, _PERSON, person) if person[0] is not None else None,
        written_at=written_at,
        is_blocked=blocked.towards_everybody,
    )
    if is_loop or virtual_number is None or author[0] is None:
        return context
    participant = instance(Participant, _PARTICIPANT, author)
    if participant.is_younger_than(written_at, first_part_at=first_part_at):
        earliest = min(written_at, first_part_at or written_at)
        return replace(context, too_young=participant, predecessor=participant.predecessor(earliest))
    participant.proxy_number = virtual_number
    participant.conversation = instance(Conversation, _CONVERSATION, conversation)
    members = [_Member.from_row(row) for row in rows[1:]]
    others = [member for member in members if member.participant.real_number_id != participant.real_number_id]
    return replace(
        context,
        author=participant,
        others=[other.participant for other in others],
        recipients=[other.participant for other in others if other.may_receive(blocked)],
        has_opted_out_recipient=any(other.has_opted_out for other in others),
        has_lost_number=any(map(_has_lost_number, [participant, *(member.participant for member in members)])),
        recent=recent or "",
    )


def read_arrival_locked(
    sender: str | None,
    recipient: str,
    text: str,
    *,
    written_at: datetime | None = None,
    first_part_at: datetime | None = None,
) -> InboundContext:
    """Return the context, with the conversation in which the text appears locked until the caller's transaction ends.

    The pair of numbers may get a conversation between the lock and the read; then both are done again.
    """
    read = partial(read_arrival, sender, recipient, text, written_at=written_at, first_part_at=first_part_at)
    if sender and find_keyword(text, has_opted_out=True):
        _lock_for_keyword(sender, read)
    # A text that is older than the pair's conversation appears in the predecessor's, and locks only that one. If it
    # held both, it could deadlock with whatever locks several in their order, such as a STOP.
    since = min((time for time in (written_at, first_part_at) if time), default=None)
    while True:
        locked = Participant.objects.find_author(sender, recipient, since) if sender else None
        context = read()
        if context.author in (None, locked):
            break
        since = None  # The carrier's clock is behind ours, which is tolerated: see `is_younger_than`.
    if context.predecessor:
        Conversation.objects.lock([context.predecessor.conversation_id])
    return context


def _lock_for_keyword(sender: str, read: Callable[[], InboundContext]) -> None:
    """Lock the person, whose row a keyword changes, and the conversations in which it may be told to others.

    read: returns the context of the keyword.
    """
    for person in RealNumber.objects.with_number(sender).select_for_update(no_key=True).only("pk"):
        unsent = OutboundMessage.objects.unsent_to(person).values_list("conversation", flat=True)
        context = read()
        here = context.author or context.predecessor
        Conversation.objects.lock([*unsent.order_by().distinct(), here.conversation_id if here else None])


def _split(row: Sequence[Any]) -> list[list[Any]]:
    """Return the columns of a row of `_READ`, table by table."""
    values = iter(row)
    return [list(islice(values, len(names))) for names in _TABLES]


class _Member(NamedTuple):
    """A person in the conversation, but not the author."""

    participant: Participant
    has_opted_out: bool

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        *_, member, number, [opted_out_at] = _split(row)
        participant = instance(Participant, _PARTICIPANT, member)
        participant.proxy_number = instance(VirtualNumber, _MEMBER_NUMBER, number)
        return cls(participant, has_opted_out=opted_out_at is not None)

    def may_receive(self, blocked: BlockedSender) -> bool:
        return not (self.has_opted_out or self.participant.real_number_id in blocked.towards)


def _has_lost_number(participant: Participant) -> bool:
    """Return whether this present number of the participant may be somebody's in another conversation."""
    return participant.is_current and (participant.released_at is not None or not participant.proxy_number.is_rented)

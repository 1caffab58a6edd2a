"""Send a text of the marketplace in a conversation: as the marketplace itself, or in the name of a participant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction

from conversations.delivery.outbox import queue_api_message
from conversations.delivery.steps import log_api_message
from conversations.lifecycle.participants import members_of
from conversations.lifecycle.request import OverLimit
from conversations.models import ApiMessage, Block, Conversation, LimitUsage, Participant
from conversations.models.block import BlockedSender
from conversations.models.outbound_reasons import BLOCKED, OPTED_OUT
from conversations.trust.limits import api_message_charges
from smsproxy.api.models import ApiKey
from smsproxy.carriers.gsm7 import segments
from smsproxy.crypto import Unreadable
from smsproxy.database.clock import database_now


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A text to send.

    to: the positions of its recipients; None: all participants except the author. author: the position of the
    participant in whose name it is sent; None: the marketplace itself.
    """

    text: str
    to: Sequence[int] | None = None
    author: int | None = None


class CannotSend(Exception):
    """The text cannot be sent. pointer: the field at fault. position: the participant concerned, or None."""

    def __init__(self, pointer: str = "", position: int | None = None) -> None:
        super().__init__(type(self).__name__)
        self.pointer = pointer
        self.position = position


class NoParticipant(CannotSend):
    """Nobody in the conversation has this position."""


class SentToAuthor(CannotSend):
    """The author is named as a recipient."""


class ConversationEnded(CannotSend):
    """The conversation has ended."""


class OnHold(CannotSend):
    """The conversation is on hold."""


class HasOptedOut(CannotSend):
    """The author, a recipient that is named, or every recipient has opted out."""


class IsBlocked(CannotSend):
    """The author is blocked, or blocked towards a recipient that is named or towards every recipient."""


class ReceivesOnly(CannotSend):
    """The author is a participant who only receives messages."""


class TooLong(CannotSend):
    """The text takes more than MAX_SEGMENTS. segments: how many."""

    def __init__(self, segments: int) -> None:
        super().__init__("/text")
        self.segments = segments


def send_message(
    conversation: Conversation, new: NewMessage, *, created_by: ApiKey | None = None, written_by: str = ""
) -> ApiMessage:
    """Queue the text for its recipients, in the caller's transaction, and return its message.

    created_by: the API key. written_by: the user name, if a member of staff sends it in the name of the service.
    A recipient who cannot get it is skipped if the request does not name them and others get it. Their row is
    cancelled, so that the answer can say why. Raises CannotSend or OverLimit, and then the caller undoes everything.
    """
    # An inbound text holds the same lock. So all texts of a conversation are sent and shown in one order.
    conversation.lock()
    now = database_now()
    if not conversation.is_live(now):
        raise ConversationEnded
    if conversation.held_at is not None:
        raise OnHold
    people = {each.position: each for each in members_of(conversation)}
    author = _author(new, people)
    recipients, skipped = _recipients(new, people, author, _blocked(author, conversation.service_id))
    others = [each for each in people.values() if each != author]
    # As if the author had texted it.
    text = f"{author.name}: {new.text}" if author and author.is_named_to(others) else new.text
    if (count := segments(text).count) > settings.MAX_SEGMENTS:
        raise TooLong(count)
    message = ApiMessage.objects.create(
        conversation=conversation,
        author=author,
        created_by=created_by,
        written_by=written_by,
        text=new.text,
        created_at=now,
    )
    legs = queue_api_message(message, text, recipients, skipped=skipped)
    conversation.touch(now)
    author_id = author.real_number_id if author else None
    charges = api_message_charges(author_id, conversation.pk, conversation.service_id, len(recipients))
    if refusal := LimitUsage.objects.consume(charges, at=now):
        raise OverLimit(refusal)
    transaction.on_commit(partial(log_api_message, message, message_refs=[leg.client_ref for leg in legs]))
    return message


def _author(new: NewMessage, people: Mapping[int, Participant]) -> Participant | None:
    """Return the participant in whose name it is sent. They may send what they might text themselves."""
    if new.author is None:
        return None
    author = people.get(new.author)
    if author is None:
        raise NoParticipant("/from", new.author)
    if author.one_way:
        raise ReceivesOnly("/from", new.author)
    if author.real_number.opted_out_at is not None:
        raise HasOptedOut("/from", new.author)
    return author


def _recipients(
    new: NewMessage, people: Mapping[int, Participant], author: Participant | None, blocked: BlockedSender
) -> tuple[Sequence[Participant], Mapping[Participant, str]]:
    """Return the participants who get the text, and those who are skipped, each with the reason."""
    if author is not None and blocked.towards_everybody:
        raise IsBlocked("/from", author.position)
    named = {position: f"/to/{place}" for place, position in enumerate(new.to or ())}
    for position, pointer in named.items():
        if position not in people:
            raise NoParticipant(pointer, position)
        if author is not None and position == author.position:
            raise SentToAuthor(pointer, position)
    asked = [people[position] for position in named] if named else [each for each in people.values() if each != author]
    skipped: dict[Participant, CannotSend] = {}
    for each in asked:
        pointer = named.get(each.position, "")
        if each.real_number.opted_out_at is not None:
            skipped[each] = HasOptedOut(pointer, each.position)
        elif each.real_number_id in blocked.towards:
            skipped[each] = IsBlocked(pointer, each.position)
    if skipped and (named or len(skipped) == len(asked)):
        raise next(iter(skipped.values()))
    reasons = {each: OPTED_OUT if isinstance(why, HasOptedOut) else BLOCKED for each, why in skipped.items()}
    return [each for each in asked if each not in skipped], reasons


def _blocked(author: Participant | None, service_id: int | None) -> BlockedSender:
    """Return towards whom the author is blocked. A block stops messages from a person, not those of the marketplace."""
    if author is None:
        return BlockedSender()
    number = author.real_number.number
    blocks = Block.objects.in_service(service_id)
    return blocks.of_sender(author.real_number_id, None if isinstance(number, Unreadable) else number)

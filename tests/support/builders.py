"""The people of the tests, the numbers of the pool, and a scripted carrier."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import count

from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import Conversation, Participant
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import (
    AvailableNumber,
    Balance,
    Feature,
    LookupResult,
    LookupVerdict,
    NumberQuery,
    NumberType,
    OutgoingText,
    RentedNumber,
    SendReply,
    SentPage,
    SentPart,
)
from smsproxy.carriers.vonage.signed_webhooks import VonageWebhooks

ALICE = "+447700900001"
BOB = "+447700900002"
CHARLIE = "+447700900003"
STRANGER = "+447700900099"


def add_numbers(how_many: int, country: str = "GB", *, start: str = "+4477009005") -> list[VirtualNumber]:
    """Create active virtual numbers, by default from +447700900500 on, and return them."""
    rows = [
        VirtualNumber.of(
            f"{start}{index:02}" if how_many <= 100 else f"{start}{index:03}",
            country,
            NumberType.MOBILE,
            frozenset({Feature.SMS}),
            state=NumberState.ACTIVE,
        )
        for index in range(how_many)
    ]
    return VirtualNumber.objects.bulk_create(rows)


def add_number(number: str, state: NumberState, country: str = "GB", **fields: object) -> VirtualNumber:
    """Create a virtual number in this state, rented if the state implies it, and return it."""
    row = VirtualNumber.of(number, country, None, frozenset({Feature.SMS}), state=state, **fields)
    row.save(force_insert=True)
    return row


def talk(*numbers: str, notify: bool = False, **options: object) -> Conversation:
    """Create a conversation between these people, labelled Alice, Bob, Charlie ... by position, and return it."""
    labels = ["Alice", "Bob", "Charlie", "Dora", "Emil"]
    people = [ParticipantSpec(number=number, label=labels[place]) for place, number in enumerate(numbers)]
    arguments = {name: options.pop(name) for name in ("created_by", "request_id") if name in options}
    policies = {field.name: options.pop(field.name) for field in fields(AssignmentPolicy) if field.name in options}
    terms = ConversationSpec(notify=notify, policy=AssignmentPolicy(**policies), **options)  # type: ignore[arg-type]
    return create_conversation(people, terms, **arguments)  # type: ignore[arg-type]


def proxies(conversation: Conversation) -> list[str]:
    """Return the participants' proxy numbers, in order."""
    return [each.proxy_number.number for each in members(conversation)]


def members(conversation: Conversation) -> list[Participant]:
    return list(conversation.participants.current().select_related("proxy_number", "real_number").order_by("position"))


def replace_number_of(participant: Participant) -> VirtualNumber:
    """Give the participant a number that nobody in their conversation has, as staff do. Return it."""
    spare = VirtualNumber.objects.active().exclude(number__in=proxies(participant.conversation)).first()
    assert spare
    moved = {each.participant.pk: each.to for each in replace(participant.proxy_number, [spare])}
    assert moved[participant.pk] == spare
    participant.refresh_from_db()
    assert participant.replaced_by
    return spare


class ScriptedCarrier(VonageWebhooks):
    """A carrier that keeps what it sends, and answers by script: one entry per send, then it accepts."""

    name = "scripted"

    def __init__(self, script: Sequence[Exception | Callable[[OutgoingText], SendReply]] = ()) -> None:
        self.script = list(script)
        self.sent: list[OutgoingText] = []
        self.looked_up: list[str] = []
        # What it answers to searches in its records, in order: pages or errors. Then it has no records.
        self.pages_of_records: list[SentPage | Exception] = []
        self.searched: list[tuple[datetime, datetime, str]] = []
        self.lookup: Callable[[str], LookupResult] = lambda number: LookupResult(verdict=LookupVerdict.VALID)
        self._ids = count(1)

    def send(self, text: OutgoingText) -> SendReply:
        self.sent.append(text)
        step = self.script.pop(0) if self.script else self.accept
        if isinstance(step, Exception):
            raise step
        return step(text)

    def accept(self, text: OutgoingText) -> SendReply:
        return SendReply(parts=(SentPart(carrier_message_id=f"sent-{next(self._ids)}"),))

    def sent_between(self, start: datetime, end: datetime, cursor: str = "") -> SentPage:
        self.searched.append((start, end, cursor))
        page = self.pages_of_records.pop(0) if self.pages_of_records else SentPage(records=())
        if isinstance(page, Exception):
            raise page
        return page

    def look_up(self, number: str, country: str) -> LookupResult:
        self.looked_up.append(number)
        return self.lookup(number)

    def balance(self) -> Balance:
        raise NotImplementedError

    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        raise NotImplementedError

    def buy(self, number: str, country: str) -> None:
        raise NotImplementedError

    def configure(self, number: str, country: str, webhook_url: str) -> None:
        raise NotImplementedError

    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        raise NotImplementedError

    def cancel(self, number: str, country: str) -> None:
        raise NotImplementedError

"""Create a pool and conversations as the application does."""

from benchmarks.traffic import Line
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, ParticipantSpec
from conversations.models import Participant
from numbers.models import NumberState, VirtualNumber
from smsproxy.carriers.base import Feature, NumberType

# Two lines per conversation: enough that each connection of the load has its own.
CONVERSATIONS = 320
NUMBERS = 100


def add_numbers(count: int = NUMBERS) -> None:
    VirtualNumber.objects.bulk_create(
        VirtualNumber.of(
            f"+447{800000000 + index}", "GB", NumberType.MOBILE, frozenset({Feature.SMS}), state=NumberState.ACTIVE
        )
        for index in range(count)
    )


def person(index: int) -> str:
    # A range without numbers of Jersey, Guernsey or the Isle of Man, where texts may not go.
    return f"+447{710000000 + index}"


def talking_people(conversations: int) -> list[Line]:
    """Create conversations of two people, and return a line of one of them for each.

    Only one of them writes: two people who answered each other this fast would be put on hold as machines.
    """
    add_numbers()
    for index in range(conversations):
        people = [
            ParticipantSpec(number=person(2 * index), label="Rider"),
            ParticipantSpec(number=person(2 * index + 1), label="Driver"),
        ]
        create_conversation(people, ConversationSpec(notify=False))
    return [
        Line(participant.real_number.number, participant.proxy_number.number)
        for participant in Participant.objects.filter(position=0)
        .select_related("real_number", "proxy_number")
        .order_by("pk")
    ]

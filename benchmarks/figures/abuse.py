"""A simulated day with abusers: what was stopped, what slipped through, what was wrongly stopped, and what it cost.

benchmarks/abuse_day.py draws the day. Time is simulated. The product's own code does everything else, with its default
limits but no daily budget. The carrier takes each message at PRICE.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count

from django.conf import settings
from django.test import override_settings

from benchmarks import scratch
from benchmarks.abuse_day import CONVERSATIONS, MOST_TEXTS, Abuse, Talk, automatic_answer, draw_talks
from benchmarks.report import Measured
from benchmarks.seeding import add_numbers, person
from benchmarks.simulated_time import define_clock, simulated_time
from benchmarks.stack import Bench
from conversations.delivery.relay import Relay
from conversations.intake.receive import receive
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import CannotCreate, ConversationSpec, ParticipantSpec
from conversations.models import Conversation, InboundMessage, InboundOutcome, OutboundMessage, OutboundState
from conversations.trust.blocks import block_person
from numbers.models import RealNumber
from smsproxy.carriers import gsm7, override
from smsproxy.carriers.base import InboundText, OutgoingText, SendReply, SentPart
from smsproxy.states import StaleState
from tests.support.builders import ScriptedCarrier

PRICE = Decimal("0.04")  # EUR a segment
NUMBERS = 60
# Messages that the relay claims at once, as a busy worker does.
AT_ONCE = 50
# Seconds after which a machine answers.
ANSWERS_AFTER = 2.0
# Numbers that cost more than a text should, and that no conversation may have.
COSTLY = [f"+881612345{index:03}" for index in range(25)] + [f"+4490912345{index:02}" for index in range(25)]


@dataclass
class Side:
    """A person of one talk. which: the index of the talk. answers: how many a machine has given."""

    which: int
    talk: Talk
    is_rider: bool
    answers: int = 0

    @property
    def is_machine(self) -> bool:
        return self.talk.rider_is_machine if self.is_rider else self.talk.driver_is_machine


@dataclass
class Day:
    """The course of the day. sides: by real and virtual number. stopped: the numbers of people who texted STOP."""

    talks: list[Talk]
    carrier: "CountingCarrier" = field(default_factory=lambda: CountingCarrier())
    sides: dict[tuple[str, str], Side] = field(default_factory=dict)
    costs: Counter[bool] = field(default_factory=Counter)
    after_stop: int = 0
    refused: int = 0
    stopped: set[str] = field(default_factory=set)
    now: float = 0.0
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _ticket: Iterator[int] = field(default_factory=count)
    _ids: Iterator[int] = field(default_factory=count)

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._ticket), what))

    def run(self, set_time: Callable[[float], None]) -> None:
        minute = 0
        while self._agenda:
            self.now, _, what = heapq.heappop(self._agenda)
            set_time(self.now)
            what()
            if self.now // 60 > minute:
                minute = int(self.now // 60)
                self.deliver()
        self.deliver()

    def begin(self, which: int, talk: Talk) -> None:
        numbers = [person(each) for each in talk.trip.people]
        people = [
            ParticipantSpec(number=number, label=label) for number, label in zip(numbers, ("Ann", "Ben"), strict=True)
        ]
        try:
            conversation = create_conversation(people, ConversationSpec(notify=False))
        except CannotCreate as error:
            if error.code in ("opted_out", "blocked"):
                return  # A rider who sent STOP, or was blocked, on an earlier trip.
            raise
        for participant in conversation.current_participants:
            side = Side(which, talk, participant.position == 0)
            self.sides[numbers[participant.position], participant.proxy_number.number] = side
        rider, driver = (
            (numbers[each.position], each.proxy_number.number) for each in conversation.current_participants
        )
        for each in talk.texts:
            sender = rider if each.by_rider else driver
            self.at(each.at, partial(self.write, which, *sender, each.text))
        if talk.stops_at is not None:
            self.at(talk.stops_at, partial(self.stop, which, *rider))
        if talk.abuse is Abuse.BLOCKED:
            self.at(talk.texts[0].at + 10, lambda: _block(rider[0]))
        self.at(talk.trip.end, lambda: _close(conversation))

    def write(self, which: int, sender: str, recipient: str, text: str) -> None:
        message_id = f"{which}-{next(self._ids)}"
        receive(InboundText(carrier_message_id=message_id, sender=sender, recipient=recipient, text=text, sent_at=None))
        if self.talks[which].abuse:
            self.deliver()

    def stop(self, which: int, sender: str, recipient: str) -> None:
        self.stopped.add(sender)
        self.write(which, sender, recipient, "STOP")
        self.deliver()

    def deliver(self) -> None:
        """Send what is queued, and let the machines among the recipients answer."""
        if not OutboundMessage.objects.filter(state=OutboundState.QUEUED).exists():
            return  # Cheaper than a claim that finds nothing.
        Relay().send_due(at_once=AT_ONCE)
        sent, self.carrier.sent = self.carrier.sent, []
        for text in sent:
            self.after_stop += text.recipient in self.stopped and not _answers_stop(text)
            side = self.sides.get((text.recipient, text.sender))
            is_abuse = side is None or side.talk.abuse is not None
            self.costs[is_abuse] += gsm7.segments(text.text).count
            if side and side.is_machine and side.answers < MOST_TEXTS:
                self._answer(text, side)

    def _answer(self, text: OutgoingText, side: Side) -> None:
        side.answers += 1
        answer = automatic_answer(side.which + side.is_rider, side.answers)
        self.at(self.now + ANSWERS_AFTER, partial(self.write, side.which, text.recipient, text.sender, answer))


class CountingCarrier(ScriptedCarrier):
    """Takes every message, at PRICE a segment."""

    def accept(self, text: OutgoingText) -> SendReply:
        parts = range(gsm7.segments(text.text).count)
        return SendReply(
            parts=tuple(SentPart(carrier_message_id=f"sent-{next(self._ids)}", price=PRICE) for _ in parts)
        )


def measure(bench: Bench) -> Measured:
    add_numbers(NUMBERS)
    talks = draw_talks(600 if bench.quick else CONVERSATIONS)
    day = Day(talks)
    define_clock()
    with (
        simulated_time() as set_time,
        override(day.carrier),
        override_settings(**scratch.default_limits(), DAILY_BUDGET=Decimal(0)),
    ):
        for which, talk in enumerate(talks):
            day.at(talk.trip.begin, partial(day.begin, which, talk))
        day.at(43_200, lambda: _ask_for_costly_numbers(day))
        day.run(set_time)
    return _measured(day)


def _measured(day: Day) -> Measured:
    honest, abusive = Counter[str](), defaultdict[Abuse, Counter[str]](Counter)
    wrong = 0
    of_talks = _outcomes()
    for which, outcomes in of_talks.items():
        abuse = day.talks[which].abuse
        if abuse:
            abusive[abuse].update(outcomes)
        else:
            honest.update(outcomes)
            wrong += bool(outcomes[InboundOutcome.HELD] or outcomes[InboundOutcome.LIMITED])
    loops = [
        outcomes[InboundOutcome.RELAYED]
        for which, outcomes in of_talks.items()
        if day.talks[which].abuse is Abuse.TWO_MACHINES
    ]
    texts = sum(sum(outcomes.values()) for outcomes in abusive.values())
    slipped = sum(outcomes[InboundOutcome.RELAYED] for outcomes in abusive.values())
    return Measured(
        values={
            "wrong": wrong,
            "loop": max(loops),
            "after_stop": day.after_stop,
            "costly": len(COSTLY) - day.refused,
            "slipped": 100 * slipped / texts,
            "cost": float(PRICE * day.costs[True]),
        },
        problems=[] if honest[InboundOutcome.RELAYED] else ["no honest text was passed on"],
        details={
            "texts of honest people, by outcome": dict(honest),
            "cost of honest texts, EUR": float(PRICE * day.costs[False]),
            **{f"{abuse}, by outcome": dict(outcomes) for abuse, outcomes in sorted(abusive.items())},
        },
    )


def _outcomes() -> dict[int, Counter[str]]:
    """Return the outcomes of the texts of each talk. `Day.write` puts the talk into the carrier's id of a text."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for message_id, outcome in InboundMessage.objects.values_list("carrier_message_id", "outcome"):
        found[int(message_id.partition("-")[0])][outcome] += 1
    return found


def _answers_stop(text: OutgoingText) -> bool:
    return text.text.endswith(settings.STOP_ANSWER.removeprefix("{operator}"))


def _ask_for_costly_numbers(day: Day) -> None:
    for which, number in enumerate(COSTLY):
        try:
            create_conversation([ParticipantSpec(number=number), ParticipantSpec(number=person(1_000_000 + which))])
        except CannotCreate as error:
            day.refused += error.code == "destination_not_allowed"


def _block(number: str) -> None:
    [rider] = RealNumber.objects.with_number(number)
    block_person(rider, reason="abuse", actor="staff")


def _close(conversation: Conversation) -> None:
    with suppress(StaleState):
        conversation.close()

"""A simulated day with abusers: what was stopped, what slipped through, what was wrongly stopped, and what it cost.

benchmarks/abuse_day.py draws the day. Time is simulated. The product's own code does everything else, with its default
limits but no daily budget. The carrier takes each message at PRICE.

The day has two cities with nobody in common, half of the conversations in each. Each city has a process and a database
of its own, so that both cores work.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count
from multiprocessing import get_context

from django.conf import settings
from django.db import connection
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

CITIES = 2
PRICE = Decimal("0.04")  # EUR a segment
NUMBERS = 60  # of each city
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
    segments: Counter[bool] = field(default_factory=Counter)
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
        if self.talks[which].is_urgent:
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
            self.segments[is_abuse] += gsm7.segments(text.text).count
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


@dataclass
class Tally:
    """What happened in a city, or in all of them.

    honest, abusive: texts by outcome. segments: those sent, of honest people and of abuse. wrong: honest conversations
    held or limited. loop: texts in the longest loop. costly: conversations with numbers of COSTLY.
    """

    honest: Counter[str] = field(default_factory=Counter)
    abusive: dict[Abuse, Counter[str]] = field(default_factory=lambda: {abuse: Counter() for abuse in Abuse})
    segments: Counter[bool] = field(default_factory=Counter)
    wrong: int = 0
    loop: int = 0
    after_stop: int = 0
    costly: int = 0

    def add(self, other: "Tally") -> None:
        self.honest.update(other.honest)
        for abuse, outcomes in other.abusive.items():
            self.abusive[abuse].update(outcomes)
        self.segments.update(other.segments)
        self.wrong += other.wrong
        self.loop = max(self.loop, other.loop)
        self.after_stop += other.after_stop
        self.costly += other.costly


def measure(bench: Bench) -> Measured:
    conversations = (600 if bench.quick else CONVERSATIONS) // CITIES
    add_numbers(NUMBERS)
    define_clock()
    connection.close()  # Otherwise the database could not be copied.
    total = Tally()
    with (
        scratch.copies(bench.environment["DATABASE_URL"], CITIES) as databases,
        ProcessPoolExecutor(CITIES, mp_context=get_context("fork")) as processes,
    ):
        for tally in processes.map(partial(_play, conversations), range(CITIES), databases):
            total.add(tally)
    return _measured(total)


def _play(conversations: int, city: int, database: str) -> Tally:
    """Play the day of one city on its own database."""
    connection.settings_dict["NAME"] = database
    talks = draw_talks(conversations, seed=city + 1)
    day = Day(talks)
    with (
        simulated_time() as set_time,
        override(day.carrier),
        override_settings(**scratch.default_limits(), DAILY_BUDGET=Decimal(0)),
    ):
        for which, talk in enumerate(talks):
            day.at(talk.trip.begin, partial(day.begin, which, talk))
        day.at(43_200, lambda: _ask_for_costly_numbers(day))
        day.run(set_time)
        return _tally(day, _outcomes())


def _tally(day: Day, of_talks: Mapping[int, Counter[str]]) -> Tally:
    tally = Tally(segments=day.segments, after_stop=day.after_stop, costly=len(COSTLY) - day.refused)
    for which, outcomes in of_talks.items():
        abuse = day.talks[which].abuse
        if abuse is None:
            tally.honest.update(outcomes)
            tally.wrong += bool(outcomes[InboundOutcome.HELD] or outcomes[InboundOutcome.LIMITED])
        else:
            tally.abusive[abuse].update(outcomes)
        if abuse is Abuse.TWO_MACHINES:
            tally.loop = max(tally.loop, outcomes[InboundOutcome.RELAYED])
    return tally


def _measured(tally: Tally) -> Measured:
    texts = sum(outcomes.total() for outcomes in tally.abusive.values())
    slipped = sum(outcomes[InboundOutcome.RELAYED] for outcomes in tally.abusive.values())
    return Measured(
        values={
            "wrong": tally.wrong,
            "loop": tally.loop,
            "after_stop": tally.after_stop,
            "costly": tally.costly,
            "slipped": 100 * slipped / texts,
            "cost": float(PRICE * tally.segments[True]),
        },
        problems=[] if tally.honest[InboundOutcome.RELAYED] else ["no honest text was passed on"],
        details={
            "texts of honest people, by outcome": dict(tally.honest),
            "cost of honest texts, EUR": float(PRICE * tally.segments[False]),
            **{f"{abuse}, by outcome": dict(outcomes) for abuse, outcomes in sorted(tally.abusive.items())},
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

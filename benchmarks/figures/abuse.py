"""A simulated day with abusers: what was stopped, what slipped through, what was wrongly stopped, and what it cost.

benchmarks/abuse_day.py draws the day. Time is simulated, in this process and in the database: the functions of a schema
of its own hide PostgreSQL's clock. The product's own code does everything else, with its default limits but no
daily budget. The carrier takes each message at PRICE.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import time_machine
from django.db import connection
from django.test import override_settings

from benchmarks import scratch
from benchmarks.abuse_day import CONVERSATIONS, MOST_TEXTS, Abuse, Talk, automatic_answer, draw_talks
from benchmarks.report import Measured
from benchmarks.seeding import add_numbers, person
from benchmarks.stack import Bench
from conversations.delivery.relay import Relay
from conversations.intake.receive import receive
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import CannotCreate, ConversationSpec, ParticipantSpec
from conversations.models import Block, Conversation, InboundMessage, InboundOutcome
from numbers.models import RealNumber
from smsproxy.carriers import gsm7, override
from smsproxy.carriers.base import InboundText, OutgoingText, SendReply, SentPart
from smsproxy.states import StaleState
from tests.support.builders import ScriptedCarrier

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = Decimal("0.04")  # EUR a segment
NUMBERS = 60
# Seconds after which a machine answers.
ANSWERS_AFTER = 2.0
# Numbers that cost more than a text should, and that no conversation may have.
COSTLY = [f"+881612345{index:03}" for index in range(25)] + [f"+4490912345{index:02}" for index in range(25)]

_CLOCK = """
    CREATE SCHEMA IF NOT EXISTS simulated;
    CREATE OR REPLACE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql
        AS $$ SELECT current_setting('simulated.now')::timestamptz $$;
    CREATE OR REPLACE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql
        AS $$ SELECT current_setting('simulated.now')::timestamptz $$;
    CREATE OR REPLACE FUNCTION simulated.statement_timestamp() RETURNS timestamptz LANGUAGE sql
        AS $$ SELECT current_setting('simulated.now')::timestamptz $$;
    SET search_path = simulated, pg_catalog, public;
"""


@dataclass
class Side:
    """A person of one talk, as the network sees them. answers: how many a machine has given."""

    talk: Talk
    is_rider: bool
    proxy_number: str
    answers: int = 0

    @property
    def is_machine(self) -> bool:
        return self.talk.rider_is_machine if self.is_rider else self.talk.driver_is_machine


@dataclass
class Day:
    """The course of the day. sides: by real and virtual number. texts: the outcomes of the texts of each talk."""

    talks: list[Talk]
    carrier: "CountingCarrier" = field(default_factory=lambda: CountingCarrier())
    sides: dict[tuple[str, str], Side] = field(default_factory=dict)
    outcomes: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    costs: Counter[bool] = field(default_factory=Counter)
    notices: Counter[int] = field(default_factory=Counter)
    after_stop: int = 0
    refused: int = 0
    stopped: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _ticket: Iterator[int] = field(default_factory=count)
    _ids: Iterator[int] = field(default_factory=count)

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._ticket), what))

    def run(self, clock: Any) -> None:
        minute = 0
        while self._agenda:
            self.now, _, what = heapq.heappop(self._agenda)
            _set_clock(clock, self.now)
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
            side = Side(talk, participant.position == 0, participant.proxy_number.number)
            self.sides[numbers[participant.position], side.proxy_number] = side
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
        message_id = f"day-{next(self._ids)}"
        receive(InboundText(carrier_message_id=message_id, sender=sender, recipient=recipient, text=text, sent_at=None))
        outcome = InboundMessage.objects.values_list("outcome", flat=True).get(carrier_message_id=message_id)
        self.outcomes[which][outcome] += 1
        if self.talks[which].abuse:
            self.deliver()

    def stop(self, which: int, sender: str, recipient: str) -> None:
        self.write(which, sender, recipient, "STOP")
        self.deliver()
        self.stopped[sender] = self.now

    def deliver(self) -> None:
        """Send what is queued, and let the machines among the recipients answer."""
        Relay().send_due()
        sent, self.carrier.sent = self.carrier.sent, []
        for text in sent:
            self.after_stop += text.recipient in self.stopped
            side = self.sides.get((text.recipient, text.sender))
            is_abuse = side is None or side.talk.abuse is not None
            self.costs[is_abuse] += gsm7.segments(text.text).count
            if side and side.is_machine and side.answers < MOST_TEXTS:
                self._answer(text, side)

    def _answer(self, text: OutgoingText, side: Side) -> None:
        side.answers += 1
        which = self.talks.index(side.talk)
        answer = automatic_answer(which + side.is_rider, side.answers)
        self.at(self.now + ANSWERS_AFTER, lambda: self.write(which, text.recipient, text.sender, answer))


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
    with (
        _simulated_time() as clock,
        override(day.carrier),
        override_settings(**scratch.default_limits(), DAILY_BUDGET=Decimal(0)),
    ):
        for which, talk in enumerate(talks):
            day.at(talk.trip.begin, partial(day.begin, which, talk))
        day.at(43_200, lambda: _ask_for_costly_numbers(day))
        day.run(clock)
    return _measured(day)


def _measured(day: Day) -> Measured:
    honest, abusive = Counter[str](), defaultdict[Abuse, Counter[str]](Counter)
    wrong = 0
    for which, outcomes in day.outcomes.items():
        abuse = day.talks[which].abuse
        if abuse:
            abusive[abuse].update(outcomes)
        else:
            honest.update(outcomes)
            wrong += bool(outcomes[InboundOutcome.HELD] or outcomes[InboundOutcome.LIMITED])
    loops = [
        outcomes[InboundOutcome.RELAYED]
        for which, outcomes in day.outcomes.items()
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


def _ask_for_costly_numbers(day: Day) -> None:
    for which, number in enumerate(COSTLY):
        with suppress(CannotCreate):
            create_conversation([ParticipantSpec(number=number), ParticipantSpec(number=person(1_000_000 + which))])
            continue
        day.refused += 1


def _block(number: str) -> None:
    [rider] = RealNumber.objects.with_number(number)
    Block.objects.create(person=rider, reason="abuse", created_by="staff")


def _close(conversation: Conversation) -> None:
    with suppress(StaleState):
        conversation.close()


@contextmanager
def _simulated_time() -> Iterator[Any]:
    with time_machine.travel(MIDNIGHT, tick=False) as clock, connection.cursor() as cursor:
        cursor.execute("SET simulated.now = '2026-01-01 00:00:00+00'")
        cursor.execute(_CLOCK)
        cursor.execute("SET synchronous_commit = off")  # Disk speed does not matter here.
        try:
            yield clock
        finally:
            cursor.execute("SET search_path = public; DROP SCHEMA simulated CASCADE")


def _set_clock(clock: Any, seconds: float) -> None:
    moment = MIDNIGHT + timedelta(seconds=seconds)
    clock.move_to(moment)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('simulated.now', %s, false)", [moment.isoformat()])

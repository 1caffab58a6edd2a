"""A day of 10,000 conversations drawn from a seed, in two of a hundred of which somebody abuses the service.

Rides, as in day.py. Honest people write 2 to 12 texts, at the speed at which people read and type. Each abuser does one
thing: see `Abuse`. A machine answers whatever arrives at its phone, and so may answer another machine, or a notice.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from benchmarks.day import Trip, draw_day

CONVERSATIONS = 10_000
ONE_ABUSER_IN = 50
# Texts that an abuser without end would send: a loop or a flood that nothing stops ends here, too.
MOST_TEXTS = 200

_SHORT = ("ok", "yes", "no", "here", "thanks", "👍", "2 min", "on my way", "great", "which side?", "ok ok", "coming")
_LONG = (
    "I am at the main entrance, next to the flower shop",
    "There is traffic on the bridge, I need five more minutes",
    "Which car is it? I can see two black ones",
    "Can you wait a moment? I forgot my bag upstairs",
    "I have two suitcases, is that all right?",
    "Please ring the bell of flat 12, the gate is open",
    "I parked on the other side, by the pharmacy",
    "Could you call the lift for me? Thank you so much",
    "Sorry, wrong exit. I will be there in three minutes",
    "The blue umbrella, that is me",
)
_AWAY = (
    "Thank you for your message. I am driving and will answer later.",
    "We received your message #{number} and will get back to you soon.",
    "Automatic reply: our office is closed until Monday. Your ticket is {number}.",
    "Ich bin zurzeit nicht erreichbar und melde mich später.",
)


class Abuse(StrEnum):
    """What an abuser does in their conversation."""

    FLOOD = "flood"
    """Sends a different text each second."""
    TOO_LONG = "too long"
    """Sends texts that are too long to pass on."""
    TWO_MACHINES = "two machines"
    """Both phones answer by themselves."""
    ANSWERS_NOTICES = "answers notices"
    """The phone answers by itself, and goes on after the end of the conversation."""
    AFTER_THE_END = "after the end"
    """Writes on and on to the number of an ended conversation."""
    BLOCKED = "blocked"
    """Staff block this person after the first text. More follow."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A text that a person of the trip writes. at: seconds since midnight. by_rider: or by the driver."""

    at: float
    by_rider: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A trip, the texts that are written whatever arrives, and what is wrong with it.

    stops_at: the rider texts STOP at this moment, or None. machines: the sides whose phones answer by themselves.
    """

    trip: Trip
    texts: Sequence[Written]
    abuse: Abuse | None = None
    stops_at: float | None = None
    rider_is_machine: bool = False
    driver_is_machine: bool = False

    @property
    def is_urgent(self) -> bool:
        """Whether it matters that a text leaves at once: a machine answers it, or a block would still cancel it."""
        return self.rider_is_machine or self.driver_is_machine or self.abuse is Abuse.BLOCKED


def draw_talks(conversations: int = CONVERSATIONS, seed: int = 1) -> list[Talk]:
    chance = random.Random(seed)
    kinds = list(Abuse)
    abusers = count()
    return [
        _abusive(trip, kinds[next(abusers) % len(kinds)], chance)
        if which % ONE_ABUSER_IN == ONE_ABUSER_IN - 1
        else _honest(trip, chance)
        for which, trip in enumerate(draw_day(conversations, seed))
    ]


def automatic_answer(side: int, number: int) -> str:
    """Return the answer of a machine. side: each machine has one wording. number: counts its answers."""
    return _AWAY[side % len(_AWAY)].format(number=number)


def _honest(trip: Trip, chance: random.Random) -> Talk:
    texts = list(_chat(trip, chance))
    # One rider in a hundred has had enough of texts. The driver may write on.
    stops_at = chance.uniform(trip.begin + 60, trip.end) if chance.random() < 0.01 else None
    return Talk(
        trip=trip,
        texts=[each for each in texts if stops_at is None or not each.by_rider or each.at < stops_at],
        stops_at=stops_at,
    )


def _chat(trip: Trip, chance: random.Random) -> Iterator[Written]:
    at = trip.begin + chance.uniform(5, 120)
    by_rider = chance.random() < 0.5
    for _ in range(chance.randint(2, 12)):
        text = chance.choice(_SHORT if chance.random() < 0.5 else _LONG)
        # Reading, thinking and typing: a word or two after some seconds, a sentence after half a minute.
        at += chance.uniform(2, 6) + len(text) / chance.uniform(2, 6)
        at += chance.uniform(5, 90) if chance.random() < 0.6 else 0
        if at >= trip.end - 5:
            return
        yield Written(at=at, by_rider=by_rider, text=text)
        by_rider = not by_rider if chance.random() < 0.75 else by_rider


def _abusive(trip: Trip, abuse: Abuse, chance: random.Random) -> Talk:
    begin = trip.begin + 30.0
    first = Written(at=begin, by_rider=True, text="Hello, are you there?")
    match abuse:
        case Abuse.FLOOD:
            texts = [
                Written(at=begin + each, by_rider=True, text=f"{chance.choice(_LONG)} {each}")
                for each in range(MOST_TEXTS)
            ]
        case Abuse.TOO_LONG:
            texts = [
                Written(at=begin + 5 * each, by_rider=True, text="lorem ipsum " * 200) for each in range(MOST_TEXTS)
            ]
        case Abuse.AFTER_THE_END:
            texts = [
                Written(at=trip.end + 10.0 + 30 * each, by_rider=True, text=f"Answer me! {chance.choice(_LONG)}")
                for each in range(MOST_TEXTS)
            ]
        case Abuse.BLOCKED:
            texts = [Written(at=begin + 30 * each, by_rider=True, text=chance.choice(_LONG)) for each in range(20)]
        case Abuse.ANSWERS_NOTICES:
            texts = [Written(at=trip.end + 10.0, by_rider=True, text="Thank you for the ride!")]
        case Abuse.TWO_MACHINES:
            texts = [first]
    return Talk(
        trip=trip,
        texts=texts,
        abuse=abuse,
        rider_is_machine=abuse in (Abuse.TWO_MACHINES, Abuse.ANSWERS_NOTICES),
        driver_is_machine=abuse is Abuse.TWO_MACHINES,
    )

"""A day of rides, drawn from a seed, and how many numbers it takes if they are given out in one way or another.

3,000 drivers have 15 to 25 trips each, in one shift: one after the other, minutes apart. Each trip takes 8 to 35
minutes from the booking to its end, which is when its conversation begins and ends. The rider is any of 30,000, so that
most of them ride once to three times. For six hours after its end a conversation cools down; it is *live* while it is
open or cools down. Cool-downs end at whole minutes, as if the sweep ran once a minute.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

COOL_DOWN = 6 * 3600
RIDERS_FOR_A_DRIVER = 10
FEWEST_TRIPS, MOST_TRIPS = 15, 25
MEAN_TRIPS = (FEWEST_TRIPS + MOST_TRIPS) // 2
SHIFTS_BEGIN = 5 * 3600, 14 * 3600
TRIP_TAKES = 8 * 60, 35 * 60
TIME_BETWEEN = 60, 12 * 60


@dataclass(frozen=True, kw_only=True)
class Trip:
    """begin, end: in seconds since midnight. rider, driver: people are numbered, riders after drivers."""

    begin: int
    end: int
    rider: int
    driver: int

    @property
    def people(self) -> tuple[int, int]:
        return self.rider, self.driver

    @property
    def released_at(self) -> int:
        """The first whole minute at which it has cooled down."""
        return -(-(self.end + COOL_DOWN) // 60) * 60


class What(IntEnum):
    """At the same moment, in this order."""

    RELEASE = 0
    END = 1
    BEGIN = 2


@dataclass(frozen=True, order=True)
class Moment:
    """which: the place of the trip in the day."""

    at: int
    what: What
    which: int


def draw_day(trips: int, seed: int = 1) -> list[Trip]:
    chance = random.Random(seed)
    drivers = trips // MEAN_TRIPS + MOST_TRIPS  # A few more, as they have fewer trips by chance.
    day: list[Trip] = []
    for driver in count():
        now = chance.randint(*SHIFTS_BEGIN)
        for _ in range(chance.randint(FEWEST_TRIPS, MOST_TRIPS)):
            if len(day) == trips:
                return day
            end = now + chance.randint(*TRIP_TAKES)
            rider = 2 * drivers + chance.randrange(RIDERS_FOR_A_DRIVER * drivers)
            day.append(Trip(begin=now, end=end, rider=rider, driver=driver))
            now = end + chance.randint(*TIME_BETWEEN)
    raise AssertionError("there is always another driver")


def moments(day: Sequence[Trip]) -> list[Moment]:
    """All that happens, in order."""
    return sorted(
        moment
        for which, trip in enumerate(day)
        for moment in (
            Moment(trip.begin, What.BEGIN, which),
            Moment(trip.end, What.END, which),
            Moment(trip.released_at, What.RELEASE, which),
        )
    )


def busiest(day: Sequence[Trip]) -> tuple[int, int]:
    """Who has the most live conversations at any time, and how many: Δ."""
    live: Counter[int] = Counter()
    most: Counter[int] = Counter()
    for trip, begins in _changes(day):
        for person in trip.people:
            live[person] += 1 if begins else -1
            most[person] = max(most[person], live[person])
    [found] = most.most_common(1)
    return found


def one_number_per_conversation(day: Sequence[Trip]) -> int:
    """Both sides text the same number: the first that neither of them has in a live conversation."""
    taken: defaultdict[int, set[int]] = defaultdict(set)
    given: dict[Trip, int] = {}
    for trip, begins in _changes(day):
        theirs = [taken[person] for person in trip.people]
        if begins:
            given[trip] = next(number for number in count(1) if not any(number in each for each in theirs))
        for each in theirs:
            (each.add if begins else each.remove)(given[trip])
    return max(given.values())


def one_number_per_session(day: Sequence[Trip]) -> int:
    """A number serves one live conversation at a time: as many as are live at once."""
    live = most = 0
    for _, begins in _changes(day):
        live += 1 if begins else -1
        most = max(most, live)
    return most


def _changes(day: Sequence[Trip]) -> Iterator[tuple[Trip, bool]]:
    """Each trip when it begins to be live, and when it no longer is."""
    for moment in moments(day):
        if moment.what != What.END:
            yield day[moment.which], moment.what == What.BEGIN

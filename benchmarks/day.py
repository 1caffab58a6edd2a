"""A day of rides drawn from a seed, and the numbers that different ways of assignment need for it.

3,000 drivers have 15 to 25 trips each in one shift, minutes apart. A trip takes 8 to 35 minutes, and its conversation
lasts as long. The rider is one of 30,000, so most people ride one to three times. A conversation cools down for six
hours after its end. It is *live* while it is open or cooling down. Cool-downs end at whole minutes, as if the periodic
job ran once a minute.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

COOL_DOWN_SECONDS = 6 * 3600
RIDERS_FOR_A_DRIVER = 10
FEWEST_TRIPS, MOST_TRIPS = 15, 25
MEAN_TRIPS = (FEWEST_TRIPS + MOST_TRIPS) // 2
SHIFTS_BEGIN = 5 * 3600, 14 * 3600
TRIP_TAKES = 8 * 60, 35 * 60
TIME_BETWEEN = 60, 12 * 60


@dataclass(frozen=True, kw_only=True)
class Trip:
    """begin, end: seconds since midnight. rider, driver: indexes of people, riders after drivers."""

    begin: int
    end: int
    rider: int
    driver: int

    @property
    def people(self) -> tuple[int, int]:
        return self.rider, self.driver

    @property
    def released_at(self) -> int:
        """Return the first whole minute after the cool-down."""
        return -(-(self.end + COOL_DOWN_SECONDS) // 60) * 60


class What(IntEnum):
    """Events of the same moment happen in this order."""

    RELEASE = 0
    END = 1
    BEGIN = 2


@dataclass(frozen=True, order=True)
class Moment:
    """which: the index of the trip in the day."""

    at: int
    what: What
    which: int


def draw_day(trips: int, seed: int = 1) -> list[Trip]:
    chance = random.Random(seed)
    drivers = trips // MEAN_TRIPS + MOST_TRIPS  # A few more drivers, since some have fewer trips by chance.
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
    """Return all events of the day in order."""
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
    """Return the person with the most live conversations at one time, and that number: Δ."""
    live: Counter[int] = Counter()
    most: Counter[int] = Counter()
    for trip, begins in _changes(day):
        for person in trip.people:
            live[person] += 1 if begins else -1
            most[person] = max(most[person], live[person])
    [found] = most.most_common(1)
    return found


def one_number_per_conversation(day: Sequence[Trip]) -> int:
    """Return the numbers needed if both sides share the first number that is free for both."""
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
    """Return the numbers needed if each number serves one live conversation at a time."""
    live = most = 0
    for _, begins in _changes(day):
        live += 1 if begins else -1
        most = max(most, live)
    return most


def _changes(day: Sequence[Trip]) -> Iterator[tuple[Trip, bool]]:
    """Return when each trip starts and stops being live."""
    for moment in moments(day):
        if moment.what != What.END:
            yield day[moment.which], moment.what == What.BEGIN

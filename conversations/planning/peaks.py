"""How many things were going on at once, at most, on each day. Times are microseconds since the first day began."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

DAY = 24 * 3600 * 1_000_000


def begins(at: int) -> int:
    """An event: something is going on from then on."""
    return 2 * at + 1


def ends(at: int) -> int:
    """An event: something is going on no longer. Sorted, it is before whatever begins at the same moment."""
    return 2 * at


def highest(events: Iterable[int]) -> int:
    """How many things were going on at once, at most, on any day."""
    return max(accumulate(1 if event & 1 else -1 for event in sorted(events)), default=0)


class Peaks:
    """The most that went on at once on each day, in any of the series that it was shown."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._most = [0] * days
        # What lasts past midnight costs the same, however long it lasts: of each count, how many more series have it
        # from this day on than on the day before.
        self._lasting: dict[int, list[int]] = defaultdict(lambda: [0] * (days + 1))

    def add(self, events: Iterable[int]) -> None:
        """A series: what begins and ends in it, in any order, nothing before the first day or after the last."""
        most, lasting = self._most, self._lasting
        count = since = 0
        for event in sorted(events):
            at = event >> 1
            if at > since:
                if count:
                    first, last = since // DAY, (at - 1) // DAY
                    if count > most[first]:
                        most[first] = count
                    if last > first:
                        lasting[count][first + 1] += 1
                        lasting[count][last + 1] -= 1
                since = at
            count += 1 if event & 1 else -1

    def by_day(self) -> list[int]:
        most = list(self._most)
        for count, changes in self._lasting.items():
            series = 0
            for day in range(self._days):
                series += changes[day]
                if series:
                    most[day] = max(most[day], count)
        return most

"""Find the maximum of concurrent intervals on each day. Times are microseconds since the first day began."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

DAY = 24 * 3600 * 1_000_000


def begins(at: int) -> int:
    """Return the event of an interval that begins at this time."""
    return 2 * at + 1


def ends(at: int) -> int:
    """Return the event of an interval that ends at this time. It sorts before a beginning at the same time."""
    return 2 * at


def max_concurrent(events: Iterable[int]) -> int:
    """Return the maximum of concurrent intervals at any time."""
    return max(accumulate(1 if event & 1 else -1 for event in sorted(events)), default=0)


class Peaks:
    """The maximum of concurrent intervals on each day, over several series."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._most = [0] * days
        # An interval past midnight costs the same whatever its length. For each count, this list holds the change in
        # the number of series with that count from one day to the next.
        self._lasting: dict[int, list[int]] = defaultdict(lambda: [0] * (days + 1))

    def add(self, events: Iterable[int]) -> None:
        """Add a series of events, in any order. All must lie within the days."""
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
        """Return the maximum of each day."""
        most = list(self._most)
        for count, changes in self._lasting.items():
            series = 0
            for day in range(self._days):
                series += changes[day]
                if series:
                    most[day] = max(most[day], count)
        return most

"""Where the lines of a plan's plot go. The SVG itself is a template: templates/admin/plan_plot.svg."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from conversations.planning.forecast import HORIZON
from conversations.planning.plan import CountryPlan

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 704, 28, 226
_MOST_DATES = 7
_MOST_COUNTS = 5
_ROOM_FOR_A_DATE = 30  # Half of one, so that none is cut off at the end.


class Tick(NamedTuple):
    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Of the numbers needed on each day, those that are there, and the forecast. runs_out: the day, if it is in it."""

    needed: str
    forecast: str
    there: float
    today: float
    runs_out: Tick | None
    dates: list[Tick]
    counts: list[Tick]

    width, height = WIDTH, HEIGHT
    left, right, top, bottom = LEFT, RIGHT, TOP, BOTTOM

    @property
    def runs_out_to_the_left(self) -> bool:
        """Is there more room for its label on that side?"""
        return self.runs_out is not None and self.runs_out.at > (LEFT + RIGHT) / 2


def draw(country: CountryPlan) -> Plot | None:
    """None: there is no history to draw."""
    if not country.days:
        return None
    return _Canvas(country).plot()


class _Canvas:
    def __init__(self, country: CountryPlan) -> None:
        self.country = country
        self.first, self.today = country.days[0].date, country.days[-1].date
        self.past = (self.today - self.first).days
        self.future = self._future()
        is_known = country.forecast.is_known
        self.forecast = [country.forecast.after(days) for days in range(self.future + 1)] if is_known else []
        most = max(country.needs.numbers, country.stock.numbers, *self.forecast)
        self.step = _round_step(most, _MOST_COUNTS)
        self.most = self.step * (int(most / self.step) + 1)  # So that nothing touches the upper edge.

    def _future(self) -> int:
        """Days: half as many as there were; more, if the numbers run out later, so that one sees it."""
        days = max(15, self.past // 2)
        if self.country.runs_out_on:
            days = max(days, round((self.country.runs_out_on - self.today).days * 1.15))
        return min(days, HORIZON)

    def plot(self) -> Plot:
        runs_out = self.country.runs_out_on
        return Plot(
            needed=self._line((place, day.needs.numbers) for place, day in enumerate(self.country.days)),
            forecast=self._line((self.past + days, value) for days, value in enumerate(self.forecast)),
            there=self._y(self.country.stock.numbers),
            today=self._x(self.past),
            runs_out=Tick(self._x((runs_out - self.first).days), self._runs_out(runs_out)) if runs_out else None,
            dates=list(self._dates()),
            counts=[Tick(self._y(count), str(count)) for count in range(0, self.most + 1, self.step)],
        )

    def _runs_out(self, on: date) -> str:
        return "too few now" if self.country.to_buy else f"runs out {on}"

    def _x(self, day: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * day / (self.past + self.future), 1)

    def _y(self, count: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * count / self.most, 1)

    def _line(self, points: Iterator[tuple[int, float]]) -> str:
        return " ".join(f"{self._x(day)},{self._y(count)}" for day, count in points)

    def _dates(self) -> Iterator[Tick]:
        every = -(-(self.past + self.future) // _MOST_DATES)
        for day in range(0, self.past + self.future + 1, every):
            if self._x(day) <= RIGHT - _ROOM_FOR_A_DATE:
                yield Tick(self._x(day), str(self.first + timedelta(days=day)))


def _round_step(most: float, steps: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 … of which so many reach this far."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * steps >= most:
                return step * factor
        step *= 10

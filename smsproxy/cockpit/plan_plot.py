"""Calculate the coordinates of a plan's plot. The SVG is the template templates/admin/plan_plot.svg."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _

from conversations.planning.forecast import HORIZON
from conversations.planning.plan import CountryPlan

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 704, 28, 226
_MAX_DATES = 7
_MAX_COUNTS = 5
_MIN_PAST = 4  # Past days are at least a quarter of the future, so that “today” has room beside the axis.
_ROOM_FOR_A_DATE = 30  # Half the width of a date, so that the last one is not cut off.


class Tick(NamedTuple):
    """A position on an axis and its label."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The plot of numbers needed, in stock and forecast. runs_out: the day they run out, if the plot contains it."""

    needed: str
    needed_today: float
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
        """Return whether its label has more room on the left."""
        return self.runs_out is not None and self.runs_out.at > (LEFT + RIGHT) / 2


def draw(country: CountryPlan) -> Plot | None:
    """Return the plot, or None without any history."""
    if not country.days:
        return None
    return _Canvas(country).plot()


class _Canvas:
    def __init__(self, country: CountryPlan) -> None:
        self.country = country
        self.today = country.days[-1].date
        told = (self.today - country.days[0].date).days
        self.future = self._future(told)
        self.past = max(told, self.future // _MIN_PAST)
        self.first = self.today - timedelta(days=self.past)
        is_known = country.forecast.is_known
        self.forecast = [country.forecast.after(days) for days in range(self.future + 1)] if is_known else []
        most = max(country.needs.numbers, country.stock.numbers, *self.forecast)
        self.step = _round_step(most, _MAX_COUNTS)
        self.most = self.step * (int(most / self.step) + 1)  # One step more, so that nothing touches the upper edge.

    def _future(self, told: int) -> int:
        """Return the days of forecast: half of the history, or more so that the run-out day is visible."""
        days = max(15, told // 2)
        if self.country.runs_out_on:
            days = max(days, round((self.country.runs_out_on - self.today).days * 1.15))
        return min(days, HORIZON)

    def plot(self) -> Plot:
        runs_out = self.country.runs_out_on
        return Plot(
            needed=self._line(((day.date - self.first).days, day.needs.numbers) for day in self.country.days),
            needed_today=self._y(self.country.days[-1].needs.numbers),
            forecast=self._line((self.past + days, value) for days, value in enumerate(self.forecast)),
            there=self._y(self.country.stock.numbers),
            today=self._x(self.past),
            runs_out=Tick(self._x((runs_out - self.first).days), self._runs_out(runs_out)) if runs_out else None,
            dates=list(self._dates()),
            counts=[Tick(self._y(count), str(count)) for count in range(0, self.most + 1, self.step)],
        )

    def _runs_out(self, on: date) -> str:
        return _("too few now") if self.country.to_buy else _("runs out %(day)s") % {"day": on}

    def _x(self, day: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * day / (self.past + self.future), 1)

    def _y(self, count: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * count / self.most, 1)

    def _line(self, points: Iterator[tuple[int, float]]) -> str:
        return " ".join(f"{self._x(day)},{self._y(count)}" for day, count in points)

    def _dates(self) -> Iterator[Tick]:
        every = -(-(self.past + self.future) // _MAX_DATES)
        for day in range(0, self.past + self.future + 1, every):
            if self._x(day) <= RIGHT - _ROOM_FOR_A_DATE:
                yield Tick(self._x(day), str(self.first + timedelta(days=day)))


def _round_step(most: float, steps: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50 … with which this number of steps reaches the maximum."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * steps >= most:
                return step * factor
        step *= 10

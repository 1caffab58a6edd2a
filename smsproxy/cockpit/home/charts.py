"""The coordinates of the charts of the first page. The SVG comes from the templates in templates/admin/home/."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

# Hours between two labels of the axis of time.
_LABEL_EVERY = 6
# Upper bounds of a linear axis: 1, 2 or 5, or their products with powers of 10.
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Canvas:
    """The size of a chart, and the edges of its plot, in units of the SVG."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


WIDE = Canvas(width=1080, height=190, left=40, right=1076, top=10, bottom=166)
NARROW = Canvas(width=340, height=200, left=38, right=338, top=10, bottom=174)
SMALL = Canvas(width=360, height=150, left=42, right=356, top=10, bottom=126)


class Tick(NamedTuple):
    """A position on an axis and its label. at: for an hour, its moment. is_spare: left out on a narrow screen."""

    place: float
    label: str
    at: datetime | None = None
    is_spare: bool = False


class Column(NamedTuple):
    """One hour of a bar chart. up and down: the heights of its two bars. is_whole: the hour is over and was counted."""

    x: float
    up: float
    down: float
    is_known: bool
    is_whole: bool
    title: str


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Bars above and below one axis."""

    canvas: Canvas
    axis: float
    width: float
    columns: Sequence[Column]
    counts: Sequence[Tick]
    hours: Sequence[Tick]

    @property
    def height(self) -> int:
        """The height of the plot."""
        return self.canvas.bottom - self.canvas.top

    @property
    def gap_width(self) -> float:
        """The width of an hour with the space beside its bar."""
        return _round((self.canvas.right - self.canvas.left) / len(self.columns))

    def places(self) -> Iterator[tuple[Column, float]]:
        """Yield each column with the upper edge of its upper bar."""
        for column in self.columns:
            yield column, _round(self.axis - column.up)


class Line(NamedTuple):
    """One figure over the hours. parts: polylines, interrupted where the figure is not known. dots: single hours."""

    name: str
    parts: Sequence[str]
    dots: Sequence[tuple[float, float]]
    last: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Figures over the same hours."""

    canvas: Canvas
    lines: Sequence[Line]
    values: Sequence[Tick]
    hours: Sequence[Tick]


class Scale(NamedTuple):
    """An axis of values. place: the part of the height, from 0 to 1, of a value."""

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


class Pair(NamedTuple):
    """What a column shows: a count above the axis and one below. title: for the reader who points at it."""

    at: datetime
    above: int
    below: int
    is_known: bool
    is_whole: bool
    title: str


def bars(pairs: Sequence[Pair], canvas: Canvas = WIDE) -> Bars:
    """Return the bars of these hours, above and below with the same scale."""
    most = _round_up(max((max(pair.above, pair.below) for pair in pairs), default=0))
    axis, half = (canvas.top + canvas.bottom) / 2, (canvas.bottom - canvas.top) / 2
    step = (canvas.right - canvas.left) / len(pairs)
    columns = [
        Column(
            x=_round(canvas.left + number * step),
            up=_height(pair.above, most, half),
            down=_height(pair.below, most, half),
            is_known=pair.is_known,
            is_whole=pair.is_whole,
            title=pair.title,
        )
        for number, pair in enumerate(pairs)
    ]
    counts = [Tick(canvas.top, f"{most:,}"), Tick(axis, "0"), Tick(canvas.bottom, f"{most:,}")]
    hours = _hours([pair.at for pair in pairs], canvas, step / 2)
    return Bars(canvas=canvas, axis=axis, width=_round(step * 0.72), columns=columns, counts=counts, hours=hours)


def lines(
    at: Sequence[datetime], figures: Sequence[tuple[str, Sequence[float | None]]], scale: Scale, canvas: Canvas = SMALL
) -> Lines:
    """Return a line for each figure. at: the hours. A value is None where the figure is not known."""
    height, step = canvas.bottom - canvas.top, (canvas.right - canvas.left) / len(at)

    def y(value: float) -> float:
        return _round(canvas.bottom - height * min(max(scale.place(value), 0), 1))

    def line(name: str, values: Sequence[float | None]) -> Line:
        points = [
            None if value is None else (_round(canvas.left + (number + 0.5) * step), y(value))
            for number, value in enumerate(values)
        ]
        runs = list(_runs(points))
        last = next((point for point in reversed(points) if point), None)
        return Line(
            name=name,
            parts=[" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1],
            dots=[run[0] for run in runs if len(run) == 1],
            last=last,
        )

    return Lines(
        canvas=canvas,
        lines=[line(name, values) for name, values in figures],
        values=[Tick(y(value), label) for value, label in scale.ticks],
        hours=_hours(at, canvas, step / 2, every=2 * _LABEL_EVERY),
    )


def percent_scale() -> Scale:
    """Return the scale of a part, from 0 to 1."""
    return Scale(place=lambda value: value, ticks=[(0, "0 %"), (0.5, "50 %"), (1, "100 %")])


def time_scale(values: Sequence[float], name: Callable[[float], str]) -> Scale:
    """Return a logarithmic scale of seconds, which holds these values. name: a duration in words."""
    marks = [0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 360000]
    low = max((mark for mark in marks if mark <= min(values, default=0.1)), default=marks[0])
    high = min((mark for mark in marks if mark >= max(values, default=10)), default=marks[-1])
    if low == high:
        high = marks[min(marks.index(high) + 1, len(marks) - 1)]
    span = math.log(high) - math.log(low)
    shown = [mark for mark in marks if low <= mark <= high]
    return Scale(
        place=lambda value: (math.log(max(value, low)) - math.log(low)) / span,
        ticks=[(mark, name(mark)) for mark in shown],
    )


def _hours(at: Sequence[datetime], canvas: Canvas, middle: float, every: int = _LABEL_EVERY) -> list[Tick]:
    step = (canvas.right - canvas.left) / len(at)
    named = [(number, moment) for number, moment in enumerate(at) if moment.hour % every == 0]
    return [
        Tick(_round(canvas.left + number * step + middle), f"{moment:%H:%M}", moment, is_spare=bool(place % 2))
        for place, (number, moment) in enumerate(named)
    ]


def _runs(points: Sequence[tuple[float, float] | None]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for point in [*points, None]:
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _height(count: int, most: int, height: float) -> float:
    """Return the height of a bar, at least one unit for something."""
    return max(_round(height * count / most), 1.0) if count else 0.0


def _round_up(most: int) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 …, at least 5."""
    power = int(10 ** (len(str(most)) - 1))
    return max(5, next(step * power for step in _STEPS if step * power >= most))


def _round(place: float) -> float:
    return round(place, 1)

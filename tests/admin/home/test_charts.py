"""The coordinates of the charts stay inside the chart, and a gap in the figures is a gap in the line."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsproxy.cockpit.home import words
from smsproxy.cockpit.home.charts import NARROW, SMALL, WIDE, Pair, bars, lines, percent_scale, time_scale
from smsproxy.metrics.quantile import Quantile

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOURS = [NOON + timedelta(hours=hour) for hour in range(48)]
COUNTS = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=48, max_size=48)
SECONDS = st.floats(0, 200_000)


def drawn(counts, canvas=WIDE):
    pairs = [Pair(at, up, down, True, True, "") for at, (up, down) in zip(HOURS, counts, strict=True)]
    return bars(pairs, canvas)


@given(COUNTS, st.sampled_from([WIDE, NARROW]))
def test_bars_stay_inside_the_chart(counts, canvas):
    chart = drawn(counts, canvas)

    for column, top in chart.places():
        assert canvas.left <= column.x <= column.x + chart.width <= canvas.right
        assert canvas.top <= top <= chart.axis
        assert chart.axis + column.down <= canvas.bottom


@given(COUNTS)
def test_a_larger_count_is_never_a_smaller_bar_and_something_is_never_nothing(counts):
    chart = drawn(counts)

    heights = sorted((up, column.up) for (up, _), column in zip(counts, chart.columns, strict=True))
    assert [height for _, height in heights] == sorted(height for _, height in heights)
    assert all((up > 0) == (height > 0) for up, height in heights)


@given(st.lists(st.none() | SECONDS, min_size=48, max_size=48))
def test_lines_stay_inside_the_chart_and_show_each_known_hour_once(values):
    known = [value for value in values if value is not None]
    chart = lines(HOURS, [("p50", values)], time_scale(known, str))

    [line] = chart.lines
    points = [tuple(map(float, point.split(","))) for part in line.parts for point in part.split()] + list(line.dots)
    assert len(points) == len(known)
    assert all(SMALL.left <= x <= SMALL.right and SMALL.top <= y <= SMALL.bottom for x, y in points)


def test_an_unknown_hour_interrupts_the_line():
    values = [1.0, 0.9, None, 0.8, None, 0.7, 0.6, 0.5, *[None] * 40]

    [line] = lines(HOURS, [("", values)], percent_scale()).lines

    assert [len(part.split()) for part in line.parts] == [2, 3]
    assert len(line.dots) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.086, "0.086 s"), (4.06, "4.1 s"), (53.2, "53 s"), (90, "1.5 min"), (7200, "2 h"), (400_000, "5 days")],
)
def test_a_duration_is_in_its_largest_unit(seconds, text):
    assert words.duration(seconds) == text


def test_what_is_estimated_says_so():
    assert words.quantile(Quantile(0.4)) == "about 0.4 s"
    assert words.quantile(Quantile(3600, is_more=True)) == "more than 1 h"
    assert words.quantile(None) == "–"


@pytest.mark.parametrize(
    ("part", "text"), [(1, "100 %"), (0.99999, "99.9 %"), (0.5, "50.0 %"), (13 / 15, "86.7 %"), (None, "–")]
)
def test_a_percentage_is_100_only_without_a_loss(part, text):
    assert words.percent(part) == text

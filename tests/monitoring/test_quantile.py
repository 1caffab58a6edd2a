"""Quantiles are estimated from the buckets of a histogram."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsproxy.metrics.quantile import Quantile, estimate

BOUNDS = (0.1, 1.0, 10.0, math.inf)


def quantile(part, *counts):
    return estimate(part, zip(BOUNDS, counts, strict=True))


@pytest.mark.parametrize(
    ("part", "counts", "seconds"),
    [
        (0.5, (10, 0, 0, 0), 0.05),
        (0.5, (0, 10, 0, 0), 0.55),
        (0.95, (90, 10, 0, 0), 0.55),
        (1, (1, 1, 1, 0), 10),
    ],
)
def test_events_are_evenly_spread_within_a_bucket(part, counts, seconds):
    assert quantile(part, *counts).seconds == pytest.approx(seconds)


def test_beyond_the_last_bound_it_is_more_than_that_bound():
    assert quantile(0.95, 0, 0, 0, 3) == Quantile(10, is_more=True)


def test_without_events_there_is_no_quantile():
    assert quantile(0.5, 0, 0, 0, 0) is None


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any))
def test_a_higher_part_is_never_a_shorter_time(counts):
    found = [quantile(part, *counts).seconds for part in (0.05, 0.5, 0.95, 1)]

    assert found == sorted(found)

"""The forecast finds the day on which the numbers run out."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from conversations.planning.forecast import Forecast, monthly, slope
from tests.support.builders import ALICE, add_numbers
from tests.support.history import ago, talked
from tests.support.plans import TODAY, gb


def test_a_linear_history_gives_a_linear_trend():
    assert slope(range(5, 95, 3)) == 3
    assert slope([4] * 30) == 0
    assert monthly(slope([10, 9] * 5)) == Decimal("-0.91")


def test_fewer_than_seven_days_have_no_trend():
    assert slope([1, 2, 3, 4, 5, 6]) is None
    assert slope([1, 2, 3, 4, 5, 6, 7]) == 1


@pytest.mark.parametrize(
    ("forecast", "numbers", "days"),
    [
        (Forecast(needed=9, per_day=Fraction(1)), 12, 4),
        (Forecast(needed=9, per_day=Fraction(1, 10)), 12, 31),
        (Forecast(needed=9, per_day=Fraction(3, 729)), 11, 487),
        (Forecast(needed=9, per_day=Fraction(3, 730)), 12, None),
        (Forecast(needed=9, per_day=Fraction(-1)), 9, None),
        (Forecast(needed=9, per_day=None), 9, None),
        (Forecast(needed=9, per_day=None), 8, 0),
        (Forecast(needed=10, per_day=None, growth=Decimal(100)), 40, 61),
        (Forecast(needed=10, per_day=Fraction(5), growth=Decimal(0)), 10, None),
        (Forecast(needed=0, per_day=None, growth=Decimal(1000)), 0, None),
    ],
)
def test_the_forecast_finds_the_first_day_with_too_few_numbers(forecast, numbers, days):
    expected = None if days is None else TODAY + timedelta(days=days)
    assert forecast.runs_out(numbers, TODAY) == expected


@pytest.mark.django_db
def test_one_more_conversation_a_day_runs_out_on_the_expected_day():
    add_numbers(70)
    for days in range(1, 61):
        talked(ALICE, ago(days))
    country = gb(days=30)

    assert (country.needs.numbers, country.busiest_trend, country.trend) == (60, Decimal(30), Decimal(30))
    assert country.runs_out_on == TODAY + timedelta(days=11)
    assert gb(days=30, growth=Decimal(0)).runs_out_on is None


@pytest.mark.django_db
def test_the_first_cool_down_of_a_new_pool_is_not_growth():
    for days in range(30):
        talked(ALICE, ago(days), ago(days))
    assert gb().trend == 0
    # The same holds if it began before the analysed days.
    assert [gb(days=days).trend for days in (29, 27, 25, 15)] == [0, 0, 0, 0]


@pytest.mark.django_db
def test_a_short_history_has_no_trend():
    talked(ALICE, ago(3))
    assert (gb().trend, gb().forecast.is_known, gb(growth=Decimal(5)).forecast.is_known) == (None, False, True)

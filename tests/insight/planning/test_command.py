"""The command plan_pool prints the plan, and advice for each country."""

import json
from datetime import date

import pytest

from numbers.models import Pool, VirtualNumber
from tests.support.builders import ALICE, add_numbers
from tests.support.history import NOW, ago, talked
from tests.support.plans import TODAY


@pytest.fixture
def history(db, time_machine):
    """Give Alice one more conversation every sixth day."""
    time_machine.move_to(NOW, tick=False)
    add_numbers(20)
    VirtualNumber.objects.filter(country="GB").update(monthly_cost="1.25")
    for days in range(1, 91, 6):
        talked(ALICE, ago(days))


def test_the_table_ends_with_advice_for_each_country(run, history):
    add_numbers(1, "FR", start="+336390098")

    code, output = run("plan_pool")

    assert code == 0
    assert max(map(len, output.splitlines())) <= 100
    assert output.startswith("POOL common: 2026-08-25 to 2026-11-22 12:00 UTC, cool-down 7 days\n")
    assert "  country  1 day  3 days  7 days*  14 days\n" in output
    flat = " ".join(output.split())
    assert "GB 20 15 Δ 15 - 0 +5.00 +5.00 2026-12-23" in flat
    assert "GB 25.00 0 18.75 0 0.00" in flat
    assert (
        "GB: 20 numbers, 15 needed (Δ: one person had 15 live conversations), lasts until about 2026-12-23 at +5.00 a "
        "month. 1 number of another country could serve them too, but is not counted."
    ) in flat
    assert "FR: 1 number, and no conversations in 90 days." in flat


def test_the_json_output_has_every_day(run, history):
    code, output = run("plan_pool", "--json", "--cool-down", "172800", "--growth", "12.5", "--days", "30")
    found = json.loads(output)
    [country] = found["countries"]

    assert code == 0
    assert (found["pool"], found["days"], found["cool_down"], found["growth"]) == (None, 30, 604800, "12.5")
    assert found["at"] == "2026-11-22T12:00:00Z"
    assert (country["needed"], country["limit"], country["needed_by"]["cap"]) == (15, "busiest", None)
    assert (country["monthly_cost"], country["monthly_cost_of_needed"], country["to_spare"]) == ("25.00", "18.75", 5)
    assert date.fromisoformat(country["runs_out_on"]) > TODAY
    assert [each["cool_down"] for each in country["cool_downs"]] == [86400, 172800, 259200, 604800, 1209600]
    assert len(country["history"]) == 30
    assert country["history"][-1]["date"] == "2026-11-22"
    assert country["history"][-1]["needed"] == 15


def test_a_shortfall_is_reported_with_its_price(run, history):
    VirtualNumber.objects.filter(number__gt="+447700900505").update(state="retired")

    output = " ".join(run("plan_pool", "--country", "gb")[1].split())

    assert "too few: buy 9 now, for EUR 11.25 a month." in output


def test_an_empty_pool_has_a_clear_message(run, db):
    Pool.objects.create(name="berlin")

    assert "POOL berlin:" in run("plan_pool", "--pool", "berlin")[1]
    assert "there is nothing to plan from" in run("plan_pool")[1]
    assert "GB: 0 numbers, and no conversations" in run("plan_pool", "--country", "GB")[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--pool", "paris"], "expected one of the pools berlin (omit it for the common pool), found 'paris'"),
        (["--country", "Britain"], "expected the two letters of a country"),
        (["--growth", "fast"], "expected percent a month from -99 to 1000"),
        (["--growth", "nan"], "expected percent a month"),
        (["--growth", "1e3"], "expected percent a month"),
        (["--growth", "-100"], "expected percent a month"),
        (["--cool-down", "7d"], "expected a whole number of seconds from 1 to"),
        (["--cool-down", "0"], "expected a whole number of seconds from 1 to"),
        (["--days", "0"], "expected a whole number of days from 1 to 366"),
        (["--days", "1000"], "expected a whole number of days from 1 to 366"),
    ],
)
def test_an_invalid_argument_is_rejected_with_what_was_expected(run, db, arguments, expected):
    Pool.objects.create(name="berlin")
    code, output = run("plan_pool", *arguments)

    assert code != 0
    assert expected in output

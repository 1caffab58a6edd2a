"""The benchmarks: they run, and they would notice a loss. These tests never measure speed."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest

from benchmarks import day, goals, http_load, report
from benchmarks.carrier import Arrival
from benchmarks.http_load import Exchange
from benchmarks.traffic import Text, problems
from tests.support.demo_process import ROOT

FIRST, SECOND = Text(line=7, number=0), Text(line=7, number=1)


def posted(text, at, status=200):
    return text, Exchange(due=at, sent=at, answered=at + 0.1, status=status)


def arrived(text, at):
    return Arrival(at=at, sender="447800000000", recipient="447700000000", text=text.words, client_ref="a.1")


def test_acknowledged_texts_that_arrive_once_and_in_order_are_no_problem():
    assert problems([posted(FIRST, 1), posted(SECOND, 2)], [arrived(FIRST, 1.5), arrived(SECOND, 2.5)]) == []


@pytest.mark.parametrize(
    ("texts", "arrivals", "problem"),
    [
        ([posted(FIRST, 1)], [], "1 texts were acknowledged and did not arrive"),
        ([posted(FIRST, 1)], [arrived(FIRST, 2), arrived(FIRST, 3)], "1 texts arrived more than once"),
        ([posted(FIRST, 1, status=503)], [], "1 texts were not acknowledged"),
        ([], [arrived(FIRST, 2)], "1 texts arrived and were never acknowledged"),
        (
            [posted(FIRST, 1), posted(SECOND, 2)],
            [arrived(SECOND, 3), arrived(FIRST, 4)],
            "1 texts arrived before an earlier one of their line",
        ),
    ],
)
def test_lost_repeated_and_reordered_texts_are_reported(texts, arrivals, problem):
    assert problems(texts, arrivals) == [problem]


def test_texts_in_flight_at_the_same_moment_have_no_order():
    assert problems([posted(FIRST, 1), posted(SECOND, 1.05)], [arrived(SECOND, 2), arrived(FIRST, 3)]) == []


def test_percentiles_are_nearest_ranks():
    assert [http_load.percentile(range(1, 201), percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]
    assert http_load.percentile([5], 99) == 5


def test_a_figure_with_problems_has_no_other_verdict():
    table = report.table({"relay": report.Measured(values={"rate": 999}, problems=["3 texts are missing"])})

    assert "WRONG: relay: 3 texts are missing" in table
    assert "aim met" not in table


@pytest.mark.parametrize(("rate", "verdict"), [(300, "MISSED"), (400, "met"), (450, "aim met")])
def test_a_verdict_compares_the_figure_with_its_goal(rate, verdict):
    assert goals.GOALS["relay"]["rate"].verdict(rate) == verdict


def trip(begin, rider, driver):
    return day.Trip(begin=begin, end=begin + 600, rider=rider, driver=driver)


def test_a_day_is_reproducible_and_no_driver_has_two_trips_at_once():
    trips = day.draw_day(2000)

    assert trips == day.draw_day(2000) != day.draw_day(2000, seed=2)
    assert len(trips) == 2000
    for earlier, later in pairwise(trips):
        assert earlier.driver != later.driver or earlier.end < later.begin


def test_one_shared_number_per_conversation_can_need_more_than_the_minimum():
    """Of the last two people, one already has the first number, and the other the second."""
    trips = [trip(0, 1, 11), trip(10, 1, 12), trip(20, 2, 13), trip(30, 2, 12)]

    assert day.busiest(trips)[1] == 2
    assert day.one_number_per_conversation(trips) == 3
    assert day.one_number_per_session(trips) == 4


def test_a_number_is_free_in_the_minute_in_which_its_conversation_has_cooled_down():
    first = trip(0, 1, 11)
    too_early, in_time = (
        trip(600 + day.COOL_DOWN_SECONDS - 1, 1, 11),
        trip(600 + day.COOL_DOWN_SECONDS, 1, 11),
    )

    assert first.released_at == in_time.begin
    assert day.busiest([first, too_early])[1] == 2
    assert day.busiest([first, in_time])[1] == day.one_number_per_session([first, in_time]) == 1


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
@pytest.mark.postgres
def test_figures_are_measured_on_real_processes_without_loss(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--json",
        tmp_path / "results.json",
        "latency",
        "creation",
        "pool",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert [figure["problems"] for figure in figures.values()] == [[], [], []]
    assert figures["latency"]["values"].keys() == {"p99", "p99_alone"}
    assert figures["creation"]["values"].keys() == {"rate", "p50", "p99"}
    assert figures["pool"]["values"]["beyond"] == 0

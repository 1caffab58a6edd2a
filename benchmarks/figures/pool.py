"""Numbers that a day of 60,000 conversations needs: by our assignment on PostgreSQL, and by two other ways.

benchmarks/day.py draws the day. Δ is the most live conversations of one person, and so the least possible. Time is
simulated; the product's own code creates, closes and releases each conversation. Four processes share the drivers and
advance minute by minute together. Cool-downs end at whole minutes, so the order within a minute changes no maximum.

The trips of the busiest person alone show that one number less is not enough: other people only add to them.
"""

import multiprocessing
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from multiprocessing.synchronize import Barrier, Event
from threading import BrokenBarrierError

from django.db import connection
from django.db.models import Avg, Max, Sum
from django.test import override_settings

from benchmarks import scratch
from benchmarks.day import (
    COOL_DOWN_SECONDS,
    Moment,
    Trip,
    What,
    busiest,
    draw_day,
    moments,
    one_number_per_conversation,
    one_number_per_session,
)
from benchmarks.report import Measured
from benchmarks.seeding import add_numbers, person
from benchmarks.simulated_time import define_clock, simulated_time
from benchmarks.stack import Bench
from conversations.lifecycle.create import create_conversation
from conversations.lifecycle.request import ConversationSpec, NoNumberFree, ParticipantSpec
from conversations.models import Conversation, Participant
from conversations.worker.periodic_jobs import release_cooled_down
from numbers.assignment.policy import AssignmentPolicy, Stickiness
from numbers.models import VirtualNumber

PROCESSES = 4
# Avoid sticky numbers: people who meet twice would otherwise need fewer numbers than Δ says.
_TERMS = ConversationSpec(notify=False, policy=AssignmentPolicy(stickiness=Stickiness.AVOID_STICKY))


@dataclass
class Served:
    """The result of a day, or of one process's part of it, up to the minute of the first refusal.

    peak: the most live pairs. busiest_to_mean: live pairs of the busiest number over the mean, at the peak.
    """

    created: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak: int = 0
    busiest_to_mean: float = 0.0


def measure(bench: Bench) -> Measured:
    day = draw_day(300 if bench.quick else 60_000)
    who, delta = busiest(day)
    define_clock()
    with override_settings(COOL_DOWN_SECONDS=COOL_DOWN_SECONDS):
        one_less = _serve([trip for trip in day if who in trip.people], delta - 1)
        for numbers in count(delta):
            served = _serve(day, numbers)
            if not served.refused:
                break
    return Measured(
        values={
            "numbers": numbers,
            "beyond": numbers - delta,
            "per_conversation": one_number_per_conversation(day),
            "per_session": one_number_per_session(day),
            "spread": served.busiest_to_mean,
        },
        problems=_problems(day, served, one_less),
        details={
            "conversations": served.created,
            "live participants at the peak": served.peak,
            "created, closed and released per second": served.created / served.seconds,
        },
    )


def _serve(day: Sequence[Trip], numbers: int) -> Served:
    scratch.empty_database()
    add_numbers(numbers)
    connection.close()  # One connection per process.
    fork = multiprocessing.get_context("fork")
    together, refusal, results = fork.Barrier(PROCESSES), fork.Event(), fork.SimpleQueue()
    happenings = moments(day)
    start = time.perf_counter()
    processes = [
        fork.Process(target=lambda which: results.put(_part(which, day, happenings, together, refusal)), args=(which,))
        for which in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    parts: list[Served] = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return Served(
        created=sum(part.created for part in parts),
        refused=sum(part.refused for part in parts),
        errors=[error for part in parts for error in part.errors],
        seconds=time.perf_counter() - start,
        peak=max(part.peak for part in parts),
        busiest_to_mean=max(part.busiest_to_mean for part in parts),
    )


def _part(which: int, day: Sequence[Trip], happenings: Iterable[Moment], together: Barrier, refusal: Event) -> Served:
    """Play the trips of some drivers. The first process also ends all cool-downs."""
    served, made = Served(), dict[int, Conversation]()
    try:
        with simulated_time() as set_time:
            for minute, of_minute in groupby(happenings, lambda moment: moment.at // 60):
                set_time(60 * minute)
                if which == 0:
                    _sweep(served)
                together.wait()
                for moment in of_minute:
                    trip = day[moment.which]
                    if trip.driver % PROCESSES == which:
                        set_time(moment.at)
                        _happen(moment, trip, made, served)
                if served.refused:
                    refusal.set()
                together.wait()
                if refusal.is_set():
                    break
    except BrokenBarrierError:
        """Another process failed and reports why."""
    except Exception as error:  # noqa: BLE001 - any error makes the figure invalid
        served.errors.append(f"{type(error).__name__}: {error}".splitlines()[0])
        together.abort()
    return served


def _happen(moment: Moment, trip: Trip, made: dict[int, Conversation], served: Served) -> None:
    if moment.what == What.BEGIN:
        people = [ParticipantSpec(number=person(each)) for each in trip.people]
        try:
            made[moment.which] = create_conversation(people, _TERMS)
            served.created += 1
        except NoNumberFree:
            served.refused += 1
    elif moment.what == What.END and moment.which in made:
        made.pop(moment.which).close()


def _sweep(served: Served) -> None:
    while release_cooled_down():
        pass
    loads = VirtualNumber.objects.aggregate(
        all=Sum("live_pair_count"), busiest=Max("live_pair_count"), mean=Avg("live_pair_count")
    )
    if (loads["all"] or 0) > served.peak:
        served.peak, served.busiest_to_mean = loads["all"], loads["busiest"] / loads["mean"]


def _problems(day: Sequence[Trip], served: Served, one_less: Served) -> list[str]:
    problems = served.errors + one_less.errors
    if not one_less.refused:
        problems.append("one number less than the minimum was enough: the minimum is wrong")
    if served.created != len(day) or Participant.objects.count() != 2 * len(day):
        problems.append("some conversations of the day were not created")
    if Participant.objects.unreleased().exists() or VirtualNumber.objects.exclude(live_pair_count=0).exists():
        problems.append("some pairs were not released at the end of the day")
    return problems

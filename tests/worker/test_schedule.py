"""Periodic jobs wait while they find nothing, and a backlog is worked off in every pass."""

import pytest

from conversations.worker import periodic_jobs
from conversations.worker.schedule import Schedule, Timed, lazily, throttled


class Passes:
    """Passes of one process over its jobs, at the moments that the test gives."""

    def __init__(self, *jobs):
        self.jobs, self.now = jobs, 0.0
        self._schedule = Schedule(clock=lambda: self.now)

    def at(self, now, *, is_alone=True):
        """Run what is due at this moment, and return it. is_alone: no other worker runs jobs."""
        self.now = now
        due = self._schedule.due(self.jobs)
        self._schedule.record(due, {job: job() for job in due} if is_alone else {})
        return due


def nothing():
    return 0


def a_backlog():
    return 500


def test_all_jobs_are_due_at_the_start_in_their_order():
    jobs = (nothing, lazily(5, nothing), throttled(60, nothing))

    assert Passes(*jobs).at(0) == list(jobs)


def test_a_job_that_finds_nothing_waits():
    job = lazily(5, nothing)
    passes = Passes(job)

    assert [now for now in range(12) if passes.at(now)] == [0, 5, 10]


def test_a_job_with_a_backlog_runs_in_every_pass():
    passes = Passes(lazily(5, a_backlog))

    assert [now for now in range(4) if passes.at(now)] == [0, 1, 2, 3]


def test_an_expensive_job_waits_even_if_it_found_something():
    passes = Passes(throttled(5, a_backlog))

    assert [now for now in range(12) if passes.at(now)] == [0, 5, 10]


def test_jobs_that_another_worker_runs_are_asked_for_again_after_their_pause():
    passes = Passes(lazily(5, a_backlog))

    passes.at(0, is_alone=False)

    assert [now for now in range(1, 7) if passes.at(now)] == [5, 6]


@pytest.mark.django_db
def test_a_job_that_failed_waits_like_one_that_found_nothing(monkeypatch):
    def fail():
        raise RuntimeError

    job = lazily(5, fail)

    assert periodic_jobs.run_jobs([job]) == {job: 0}


def test_no_job_runs_in_every_pass_of_an_idle_worker():
    assert [job.__name__ for job in periodic_jobs.JOBS if not isinstance(job, Timed) or not job.pause_after(0)] == []

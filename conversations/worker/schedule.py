"""When each periodic job runs next, so that a worker with nothing to do hardly asks the database."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper

Job = Callable[[], int]


class Timed:
    """A job that does not run in each pass. `throttled` and `lazily` make one."""

    __name__: str

    def __init__(self, job: Job, pause: float, *, after_work: bool) -> None:
        self._job = job
        self._pause = pause
        self._after_work = after_work
        update_wrapper(self, job)

    def __call__(self) -> int:
        return self._job()

    def pause_after(self, count: int) -> float:
        """Return the seconds to wait after a run that changed this many rows."""
        return self._pause if self._after_work or not count else 0.0


def throttled(pause: float, job: Job) -> Timed:
    """Return an expensive job that waits `pause` seconds after each run."""
    return Timed(job, pause, after_work=True)


def lazily(pause: float, job: Job) -> Timed:
    """Return a job that waits `pause` seconds after a run that found nothing. After another, it runs in the next pass.

    So a backlog is worked off as fast as without it.
    """
    return Timed(job, pause, after_work=False)


class Schedule:
    """The moments at which one process runs its jobs next. All are due at the start."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_at: dict[Job, float] = {}

    def due(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs that are due, in their order."""
        now = self._clock()
        return [job for job in jobs if now >= self._next_at.get(job, now)]

    def record(self, jobs: Iterable[Job], counts: Mapping[Job, int]) -> None:
        """Record a pass over these jobs. counts: the rows that each changed; none for a job that failed or did not run,
        because another worker runs it.
        """
        now = self._clock()
        for job in jobs:
            self._next_at[job] = now + (job.pause_after(counts.get(job, 0)) if isinstance(job, Timed) else 0.0)

"""Speed at which one worker sends a backlog to a carrier that takes 100 ms per message."""

from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from benchmarks.traffic import Traffic

TEXTS_OF_A_WORKER = 5000


def measure(bench: Bench) -> Measured:
    return drain(bench, workers=1)


def drain(bench: Bench, *, workers: int) -> Measured:
    lines = talking_people(bench.some(CONVERSATIONS))
    with bench.stack() as stack:
        web = stack.start_web()
        traffic = Traffic(stack, lines)
        traffic.post_at_once(bench.some(TEXTS_OF_A_WORKER * workers))
        web.stop()
        at_work = [stack.start_worker() for _ in range(workers)]
        problems = traffic.settle()
        cpu = sum(worker.cpu() for worker in at_work)
    arrived = sorted(arrival.at for arrival in traffic.arrivals)
    took = arrived[-1] - arrived[0]
    return Measured(
        values={"rate": len(arrived) / took},
        problems=problems,
        # Includes the start of the processes.
        details={"texts": len(arrived), "CPU ms of the workers per message": 1000 * cpu / len(arrived)},
    )

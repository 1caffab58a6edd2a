"""Time to acknowledge a webhook at 200 messages a second, with and without a running worker."""

from benchmarks.http_load import percentile
from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from benchmarks.traffic import Traffic

RATE = 200


def measure(bench: Bench) -> Measured:
    lines = talking_people(bench.some(CONVERSATIONS))
    with bench.stack() as stack:
        stack.start_web()
        traffic = Traffic(stack, lines)
        traffic.warm_up()
        alone = [each.milliseconds for each in traffic.post_paced(bench.some(4000), rate=RATE)]
        stack.start_worker()
        problems = traffic.settle()
        both = [each.milliseconds for each in traffic.post_paced(bench.some(4000), rate=RATE)]
        problems += traffic.settle()
    return Measured(
        values={"p99": percentile(both, 99), "p99_alone": percentile(alone, 99)},
        problems=problems,
        details={"texts": len(both), "p50 ms": percentile(both, 50), "p50 alone ms": percentile(alone, 50)},
    )

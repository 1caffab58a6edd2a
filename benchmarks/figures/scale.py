"""The cost of growth: median times with 5 million conversations on 10,000 numbers, and with 1,000 on 100.

One connection, so that nothing waits.
"""

import time
from dataclasses import dataclass
from statistics import median

from django.db import transaction

from benchmarks import api, scratch
from benchmarks.millions import write_conversations
from benchmarks.report import Measured
from benchmarks.seeding import person
from benchmarks.stack import Bench
from benchmarks.traffic import Line, Traffic
from conversations.models import Participant


@dataclass(frozen=True)
class Size:
    conversations: int
    numbers: int


SMALL, LARGE = Size(1_000, 100), Size(5_000_000, 10_000)
LARGE_WHEN_QUICK = Size(20_000, 1_000)
FIRST_NEW = 50_000_000  # people outside the seeded data


def measure(bench: Bench) -> Measured:
    small, problems = _medians(bench, SMALL)
    scratch.empty_database()
    large, more_problems = _medians(bench, LARGE_WHEN_QUICK if bench.quick else LARGE)
    return Measured(
        values={name: large[name] / small[name] for name in small},
        problems=problems + more_problems,
        details={"ms, small": small, "ms, large": large},
    )


def _medians(bench: Bench, size: Size) -> tuple[dict[str, float], list[str]]:
    """Return times in milliseconds, and problems."""
    lines = write_conversations(size.conversations, size.numbers)
    routes = [_route(line) for line in lines[: bench.some(1500)]]
    known = sorted({line.sender for line in lines})[: bench.some(400)]
    wanted = [api.Asked(rider, person(FIRST_NEW + index)) for index, rider in enumerate(known)]
    with bench.stack(latency=0) as stack:
        web = stack.start_web()
        traffic = Traffic(stack, lines)
        traffic.warm_up()
        texts = traffic.post_at_once(bench.some(1500), connections=1)
        worker = stack.start_worker()
        problems = traffic.settle()
        worker.stop()
        created = api.Backend(stack.port).create(wanted, connections=1)
        web.stop()
        stack.start_worker()
        problems += api.problems(wanted, created, stack.sent(), existed=size.conversations)
    return {
        "route": median(routes),
        "inbound": median(each.milliseconds for each in texts),
        "creation": median(each.milliseconds for each in created),
    }, problems


def _route(line: Line) -> float:
    """Measure finding the author of a message."""
    with transaction.atomic():
        start = time.perf_counter()
        found = Participant.objects.find_author(line.sender, line.proxy)
        took = time.perf_counter() - start
    if found is None:
        raise LookupError("a line leads nowhere")
    return 1000 * took

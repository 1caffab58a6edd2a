"""Conversations created per second through the API over 16 connections, each between two new people."""

from benchmarks import api, http_load
from benchmarks.report import Measured
from benchmarks.seeding import add_numbers, person
from benchmarks.stack import Bench

CONNECTIONS = 16
# With --quick: few enough that a busy machine refuses none.
QUICK_CONNECTIONS = 2


def measure(bench: Bench) -> Measured:
    add_numbers()
    connections = QUICK_CONNECTIONS if bench.quick else CONNECTIONS
    wanted = [api.Asked(person(2 * index), person(2 * index + 1)) for index in range(bench.some(3000) + connections)]
    with bench.stack(latency=0) as stack:
        web = stack.start_web()
        backend = api.Backend(stack.port)
        warm_up = backend.create(wanted[:connections], connections=connections)
        exchanges = backend.create(wanted[connections:], connections=connections)
        web.stop()
        stack.start_worker()
        problems = api.problems(wanted, warm_up + exchanges, stack.sent())
    milliseconds = [each.milliseconds for each in exchanges]
    values = {"rate": http_load.per_second(exchanges)}
    values |= {f"p{share}": http_load.percentile(milliseconds, share) for share in (50, 99)}
    return Measured(values=values, problems=problems)

"""Inbound messages stored per second: signed webhooks over 32 connections, with no worker running.

Then a worker starts, and every acknowledged message must reach the carrier.
"""

from benchmarks import http_load, pgbench
from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from benchmarks.traffic import Traffic


def measure(bench: Bench) -> Measured:
    lines = talking_people(bench.some(CONVERSATIONS))
    with bench.stack(latency=0) as stack:
        web = stack.start_web()
        traffic = Traffic(stack, lines)
        traffic.warm_up()
        exchanges = traffic.post_at_once(bench.some(8000))
        web.stop()
        stack.start_worker()
        problems = traffic.settle()
    milliseconds = [each.milliseconds for each in exchanges]
    values = {"acks": http_load.per_second(exchanges)}
    ceiling = pgbench.transactions_per_second(
        lines, bench.environment["DATABASE_URL"], bench.directory, seconds=bench.some(10)
    )
    if ceiling:
        values |= {"pgbench": ceiling, "share": values["acks"] / ceiling}
    details = {
        "texts": len(exchanges),
        "p50 ms": http_load.percentile(milliseconds, 50),
        "p99 ms": http_load.percentile(milliseconds, 99),
    }
    return Measured(values=values, problems=problems, details=details)

"""Time from the webhook to the request at the carrier, at 20 messages a second."""

from benchmarks.http_load import percentile
from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from benchmarks.traffic import Traffic

RATE = 20


def measure(bench: Bench) -> Measured:
    lines = talking_people(bench.some(CONVERSATIONS))
    with bench.stack() as stack:
        stack.start_web()
        stack.start_worker()
        traffic = Traffic(stack, lines)
        traffic.warm_up()
        problems = traffic.settle()
        exchanges = traffic.post_paced(bench.some(1000), rate=RATE)
        problems += traffic.settle()
    sent_at = {text.words: exchange.due for text, exchange in traffic.posted[-len(exchanges) :]}
    milliseconds = [
        1000 * (arrival.at - sent_at[arrival.text]) for arrival in traffic.arrivals if arrival.text in sent_at
    ]
    return Measured(
        values={"p50": percentile(milliseconds, 50), "p99": percentile(milliseconds, 99)},
        problems=problems,
        details={
            "texts": len(milliseconds),
            "acknowledged p50 ms": percentile([e.milliseconds for e in exchanges], 50),
        },
    )

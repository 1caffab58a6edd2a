"""CPU time per message, web server and worker together, at a steady 200 messages a second."""

from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from benchmarks.traffic import Traffic

RATE = 200


def measure(bench: Bench) -> Measured:
    lines = talking_people(bench.some(CONVERSATIONS))
    with bench.stack() as stack:
        processes = {"web": stack.start_web(), "worker": stack.start_worker()}
        traffic = Traffic(stack, lines)
        traffic.warm_up()
        problems = traffic.settle()
        before = {name: process.cpu() for name, process in processes.items()}
        texts = len(traffic.post_paced(bench.some(3000), rate=RATE))
        problems += traffic.settle()
        values = {name: 1000 * (process.cpu() - before[name]) / texts for name, process in processes.items()}
    return Measured(values={"total": sum(values.values()), **values}, problems=problems, details={"texts": texts})

"""Resident memory of the largest web process and of a worker, after load."""

from dataclasses import asdict

from benchmarks.report import Measured
from benchmarks.seeding import CONVERSATIONS, talking_people
from benchmarks.stack import Bench
from benchmarks.traffic import Traffic


def measure(bench: Bench) -> Measured:
    lines = talking_people(bench.some(CONVERSATIONS))
    with bench.stack() as stack:
        processes = {"web": stack.start_web(), "worker": stack.start_worker()}
        traffic = Traffic(stack, lines)
        traffic.post_at_once(bench.some(4000))
        problems = traffic.settle()
        memory = {name: process.memory() for name, process in processes.items()}
    return Measured(
        values={name: each.rss for name, each in memory.items()},
        problems=problems,
        details={f"{name} MB": asdict(each) for name, each in memory.items()},
    )

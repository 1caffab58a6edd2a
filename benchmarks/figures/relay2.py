"""Speed at which two workers send one backlog."""

from benchmarks.figures.relay import drain
from benchmarks.report import Measured
from benchmarks.stack import Bench


def measure(bench: Bench) -> Measured:
    return drain(bench, workers=2)

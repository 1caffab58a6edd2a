"""`python -m benchmarks soak`: run a soak, print its report, and return 1 if anything was wrong."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import scratch
from benchmarks.soak.faults import FAULTS
from tests.support.postgres_cluster import Cluster

# Shorter than the defaults, so that a message of unknown outcome reaches staff within the run. Seconds.
TIMEOUTS = {"CARRIER_TIMEOUT_SECONDS": "5", "SEND_LEASE_SECONDS": "20", "UNKNOWN_OUTCOME_TIMEOUT_SECONDS": "15"}


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(143))  # Stop all processes, too.
    with Cluster() as cluster, _logs(options.logs) as logs:
        environment = scratch.environment(cluster.url) | TIMEOUTS
        # After an outage, the backlog leaves at this rate beside the new texts.
        environment["CARRIER_REQUESTS_PER_SECOND"] = f"{2 * options.rate:g}"
        scratch.start_django(environment)
        # Imported late: these import models, which need Django to be set up.
        from benchmarks import machine
        from benchmarks.soak.site import running_site
        from benchmarks.soak.soak import Soak
        from benchmarks.soak.summary import summarise

        about = machine.describe()
        with running_site(cluster, environment, logs, options.conversations) as site:
            soak = Soak(site, 60 * options.minutes, options.rate, options.faults, options.quick, _tell)
            soak.run()
            report, problems = summarise(soak, logs)
            if problems:
                _tell(site.stack.logs())
    heading = "\n".join(f"{name}: {value}" for name, value in about.items())
    verdict = "\n".join(f"WRONG: {each}" for each in problems) or "Nothing was wrong."
    print(heading, report, verdict, sep="\n\n")
    return 1 if problems else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks soak", description="Send texts for minutes while faults begin and end."
    )
    parser.add_argument("--minutes", type=float, default=10, help="of traffic; default: 10")
    parser.add_argument("--rate", type=float, default=50, help="texts a second; default: 50")
    parser.add_argument("--conversations", type=int, default=320, help="between which the texts go; default: 320")
    parser.add_argument(
        "--faults", nargs="*", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help=f"of {', '.join(FAULTS)}"
    )
    parser.add_argument("--quick", action="store_true", help="end each fault once its troubles are shown")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs of all processes there")
    return parser.parse_args(arguments)


@contextmanager
def _logs(kept: Path | None) -> Iterator[Path]:
    """Yield the directory for the logs and the carrier's certificate."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
    else:
        with tempfile.TemporaryDirectory(prefix="smsproxy-soak-") as directory:
            yield Path(directory)


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")

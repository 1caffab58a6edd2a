"""`make bench`: measure, print the table, write the JSON. Exit code 1: a figure failed or a message was lost.

`make bench ARGS=soak` runs benchmarks/soak/ instead.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks import machine, report, scratch
from benchmarks.goals import GOALS, ON_REQUEST
from benchmarks.report import Measured
from benchmarks.soak import command
from tests.support.postgres_cluster import NoCluster

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    if sys.argv[1:2] == ["soak"]:
        return command.main(sys.argv[2:])
    options = _options()
    # Drop the database on SIGTERM, too.
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(143))
    results: dict[str, Measured] = {}
    chosen = {"quick": options.quick, "server": options.server, "workers": options.workers, "threads": options.threads}
    own = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    with scratch.scratch_database() as url, tempfile.TemporaryDirectory(prefix="smsproxy-bench-") as directory:
        environment = scratch.environment(url)
        scratch.start_django(environment)
        about = machine.describe()
        for figure in options.figures or [name for name in GOALS if name not in ON_REQUEST]:
            _tell(f"measuring {figure} ...")
            results[figure] = _measure(figure, environment, Path(directory), options)
            # Written after each figure, so that a killed run keeps its results.
            for path in filter(None, [own, options.json]):
                report.write(path, about, chosen, results)
    print(_heading(about, options), report.table(results), sep="\n\n")
    return 1 if any(measured.problems for measured in results.values()) else 0


def _measure(figure: str, environment: dict[str, str], directory: Path, options: argparse.Namespace) -> Measured:
    # Imported late: figures import models, which need Django to be set up.
    from django.db import connection

    from benchmarks.stack import Bench, Server

    own = directory / figure
    own.mkdir()
    server = Server(name=options.server, workers=options.workers, threads=options.threads)
    bench = Bench(environment=environment, directory=own, server=server, quick=options.quick)
    scratch.empty_database()
    try:
        measured: Measured = import_module(f"benchmarks.figures.{figure}").measure(bench)
    except Exception as error:  # noqa: BLE001 - measure the other figures all the same
        traceback.print_exc()
        measured = Measured(problems=[f"{type(error).__name__}: {error}".splitlines()[0]])
    finally:
        connection.close()
        shutil.rmtree(own)
    return measured


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure speed and cost on PostgreSQL.")
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(GOALS)}; none: all but {', '.join(ON_REQUEST)}"
    )
    parser.add_argument("--quick", action="store_true", help="check that everything runs; the figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the results to this file")
    parser.add_argument("--server", choices=["gunicorn", "granian"], default="gunicorn", help="granian, if installed")
    parser.add_argument("--workers", type=int, help="number of web server processes; default: as configured")
    parser.add_argument("--threads", type=int, help="threads of each")
    options = parser.parse_args()
    if unknown := set(options.figures) - GOALS.keys():
        parser.error(f"there is no figure {', '.join(sorted(unknown))}: there are {', '.join(GOALS)}")
    if find_spec(options.server) is None:
        parser.error(f"{options.server} is not installed")
    return options


def _heading(about: dict[str, str], options: argparse.Namespace) -> str:
    lines = [f"{name}: {value}" for name, value in about.items()]
    if options.quick:
        lines.append("QUICK: these figures mean nothing")
    return "\n".join(lines)


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (scratch.NoDatabase, NoCluster) as error:
        sys.exit(str(error))

"""The pages of staff with a million messages and 200,000 conversations: the time of each request, in this process."""

import sys
import time
from collections import defaultdict
from statistics import median

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.million_messages import Size, write_messages
from benchmarks.report import Measured
from benchmarks.stack import Bench
from benchmarks.staff_pages import Asked, lists, pages
from benchmarks.staff_rows import write_staff_rows

RUNS = 7
RUNS_OF_A_LIST = 3
SLOWEST_SHOWN = 12


def measure(bench: Bench) -> Measured:
    size = Size(4_000, 100, 20_000, 500) if bench.quick else Size()
    start = time.perf_counter()
    write_messages(size)
    user = User.objects.create_superuser("bench", password=None)
    write_staff_rows(size, user)
    sys.stderr.write(f"  written in {time.perf_counter() - start:.0f} s\n")
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    problems: list[str] = []
    times: dict[Asked, list[float]] = defaultdict(list)
    asked = [*pages(client, user), *lists(client)]
    for turn in range(1 if bench.quick else RUNS):
        for each in asked:
            if each.group in ("lists", "rows") and turn >= RUNS_OF_A_LIST:
                continue
            times[each].append(_request(client, each, problems))
    medians = {each: median(taken) for each, taken in times.items()}
    slowest = sorted(medians.items(), key=lambda pair: -pair[1])
    groups: dict[str, float] = defaultdict(float)
    for each, taken in slowest:
        groups[each.group] = max(groups[each.group], taken)
    return Measured(
        values=dict(groups),
        problems=sorted(set(problems)),
        details={
            "ms: shortest, median, longest; queries": {
                f"{each.group}: {each.name}": [
                    *(round(ms, 1) for ms in (min(times[each]), taken, max(times[each]))),
                    _queries(client, each),
                ]
                for each, taken in slowest
            },
            "slowest": [f"{each.name}: {taken:.0f} ms" for each, taken in slowest[:SLOWEST_SHOWN]],
        },
    )


def _request(client: Client, asked: Asked, problems: list[str]) -> float:
    """Return the milliseconds of the request."""
    start = time.perf_counter()
    if asked.number:
        answer = client.post(asked.url, {"number": asked.number}, secure=True)
    else:
        answer = client.get(asked.url, secure=True)
    took = 1000 * (time.perf_counter() - start)
    if answer.status_code >= 400 or "?e=1" in answer.get("Location", ""):
        problems.append(f"{asked.name} answered {answer.status_code}")
    return took


def _queries(client: Client, asked: Asked) -> int:
    """Return the number of statements of the request."""
    with CaptureQueriesContext(connection) as statements:
        _request(client, asked, [])
    return len(statements)

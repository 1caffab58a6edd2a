"""The machine of a run: a figure means nothing without it."""

import os
import platform
import time
from datetime import UTC, datetime

import django
from django.db import connection


def describe() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (postgresql,) = cursor.fetchone()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": f"{_first_line_with('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_first_line_with('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.1f} GB",
        # Do not trust figures if the load is far above 0, or if the core is slower than in other runs.
        "busy before": f"{os.getloadavg()[0]:.1f} processes",
        "speed of a core": f"{_core_speed():.0f} million additions a second",
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "PostgreSQL": postgresql.split()[0],
    }


def _core_speed() -> float:
    """Measured in CPU time, since other guests can slow a shared machine down."""
    count = 5_000_000
    start = time.process_time()
    sum(range(count))
    return count / (time.process_time() - start) / 1e6


def _first_line_with(path: str, name: str) -> str:
    with open(path) as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "unknown")

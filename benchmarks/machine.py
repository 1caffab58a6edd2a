"""What a run was measured on: without it a figure means nothing."""

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
        # Much more than 0, or a core that is slower than another time: no figure can be relied on.
        "busy before": f"{os.getloadavg()[0]:.1f} processes",
        "speed of a core": f"{_core_speed():.0f} million additions a second",
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "PostgreSQL": postgresql.split()[0],
    }


def _core_speed() -> float:
    """By the CPU that it takes: a shared machine can be slow for one who has a core to himself."""
    count = 5_000_000
    start = time.process_time()
    sum(range(count))
    return count / (time.process_time() - start) / 1e6


def _first_line_with(path: str, name: str) -> str:
    with open(path) as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "unknown")

"""Helpers for /metrics: read its figures, and the promtool of Prometheus."""

import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smsproxy.metrics.counting import flusher

URL = "/metrics"


def figures(content):
    """Return each figure of a scrape by its name and labels, as `of` writes them."""
    families = list(text_string_to_metric_families(content))
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def of(name, **labels):
    return (f"smsproxy_{name}", *sorted(labels.items()))


def scrape_with(api):
    """Write what this process has counted, scrape, and return the figures."""
    flusher.flush()
    answer = api.get(URL)
    assert answer.status_code == 200
    return figures(answer.content.decode())


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Run promtool, which must succeed, and return its output. Skip the test where it is not installed."""
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool, in Debian's package prometheus")
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output

"""What the processes have counted, and what they run."""

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping

import django
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from smsproxy.metrics.families import FAMILIES
from smsproxy.metrics.family import Family, Histogram, parse
from smsproxy.metrics.models import MetricValue
from smsproxy.version import VERSION

# The value of each series, by its labels.
Series = dict[tuple[str, ...], float]


class CountedCollector(Collector):
    """The counters and histograms of all processes, from one small table."""

    def collect(self) -> Iterator[Metric]:
        stored: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for name, labels, value in MetricValue.objects.order_by().values_list("name", "labels", "value"):
            stored[name].append((parse(labels), value))
        for family in FAMILIES:
            if isinstance(family, Histogram):
                yield _histogram(family, stored)
            else:
                metric = CounterMetricFamily(family.name, family.about, labels=list(family.labels))
                for values, value in _series(family, stored[family.stored_name]).items():
                    metric.add_metric(values, value)
                yield metric


def _series(family: Family, rows: list[tuple[dict[str, str], float]]) -> Series:
    """Return the series of these rows by the values of their labels, and at 0 those that have no row yet.

    Skip rows of another version of the code, whose labels differ.
    """
    found = {tuple(labels.values()): 0.0 for labels in family.zeros}
    for labels, value in rows:
        if labels.keys() == family.labels.keys():
            found[tuple(labels[name] for name in family.labels)] = value
    return found


def _histogram(family: Histogram, stored: Mapping[str, list[tuple[dict[str, str], float]]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.about, labels=list(family.labels))
    counts: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for labels, value in stored.get(family.stored_name, ()):
        bound = labels.pop("le", "")
        counts[bound].append((labels, value))
    by_bound = {bound: _series(family, counts[bound]) for bound in family.bounds}
    for values, total in _series(family, stored.get(family.sum_name, [])).items():
        buckets, count = [], 0.0
        for bound, series in by_bound.items():
            count += series.get(values, 0)
            buckets.append((bound, count))
        metric.add_metric(values, buckets=buckets, sum_value=total)
    return metric


class BuildCollector(Collector):
    """The versions that this process runs."""

    def collect(self) -> Iterator[Metric]:
        about = {"version": VERSION, "python": platform.python_version(), "django": django.get_version()}
        metric = GaugeMetricFamily(
            "smsproxy_build_info", "1, with the versions of the process that answers.", labels=list(about)
        )
        metric.add_metric(list(about.values()), 1)
        yield metric

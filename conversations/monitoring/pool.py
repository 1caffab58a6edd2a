"""Metrics of the pool of virtual numbers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TypeVar

from django.db.models import Count, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from numbers.models import ShortageCount, VirtualNumber

Figures = dict[tuple[str, ...], float]
Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)

# The common pool has an empty name, which no other pool can have.
_BY_POOL = "by pool (empty: the common pool) and country"
_NUMBERS = f"Virtual numbers, {_BY_POOL}, and state."
_LIVE = f"Live pairs of a person and a virtual number, open or cooling down, {_BY_POOL}."
_COST = f"Monthly cost of the rented numbers in EUR, without numbers of unknown cost, {_BY_POOL}."
_SHORTAGES = f"Conversations that were not created because no number was free, {_BY_POOL} of the person."


class PoolCollector(Collector):
    """Numbers, live pairs, costs and shortages of each pool and country.

    It reads every virtual number: they are as many as the site rents or has rented, whatever the traffic.
    """

    def collect(self) -> Iterator[Metric]:
        count: Figures = defaultdict(float)
        live: Figures = defaultdict(float)
        cost: Figures = defaultdict(float)
        rows = VirtualNumber.objects.order_by().values_list("pool__name", "country", "state", "is_rented")
        for pool, country, state, is_rented, numbers, pairs, price in rows.annotate(
            Count("pk"), Sum("live_pair_count"), Sum("monthly_cost")
        ):
            place = (pool or "", country)
            count[*place, state] += numbers
            live[place] += pairs
            cost[place] += float(price or 0) if is_rented else 0
        shortages = ShortageCount.objects.values_list("pool__name", "country", "count")
        by_place = ["pool", "country"]
        yield _filled(GaugeMetricFamily("smsproxy_numbers", _NUMBERS, labels=[*by_place, "state"]), count)
        yield _filled(GaugeMetricFamily("smsproxy_live_pairs", _LIVE, labels=by_place), live)
        yield _filled(GaugeMetricFamily("smsproxy_rented_monthly_cost_euros", _COST, labels=by_place), cost)
        yield _filled(
            CounterMetricFamily("smsproxy_shortages", _SHORTAGES, labels=by_place),
            {(pool or "", country): times for pool, country, times in shortages},
        )


def _filled(family: Family, figures: Mapping[tuple[str, ...], float]) -> Family:
    for labels, figure in figures.items():
        family.add_metric(labels, figure)
    return family

"""GET /metrics: the pool and the sending, for Prometheus.

What it tells is read from the database when it is asked, and is counted nowhere else: so it is right whatever number of
processes and machines there are, and whichever of them is asked. No number of a person is in it, and no virtual one:
labels are pools, countries and states.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from django.db.models import Count, Sum
from django.http import HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.request import Request
from rest_framework.views import APIView

from conversations.insight.status import MOST, Status, Trouble, gather
from numbers.models import ShortageCount, VirtualNumber

Figures = dict[tuple[str, ...], float]
Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)

# The common pool has no name, so that no pool can have the same.
_BY_POOL = "by pool (empty: the common pool) and country"
_NUMBERS = f"Virtual numbers, {_BY_POOL}, and state."
_LIVE = f"People who could text a number, now or until their cool-down is over, {_BY_POOL}."
_COST = f"What the rented numbers cost a month, without those whose cost the carrier does not say, {_BY_POOL}."
_SHORTAGES = f"How often a conversation was not made since no number was free, {_BY_POOL} of the person."


class Metrics(APIView):
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        for collector in (PoolCollector(), SendingCollector()):
            registry.register(collector)
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except TypeError:  # It asks for a version that is none.
            encode, content_type = choose_encoder("")
        return HttpResponse(encode(registry), content_type=content_type)


class PoolCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        count: Figures = defaultdict(float)
        live: Figures = defaultdict(float)
        cost: Figures = defaultdict(float)
        rows = VirtualNumber.objects.order_by().values_list("pool__name", "country", "state", "is_rented")
        for pool, country, state, is_rented, numbers, pairs, price in rows.annotate(
            Count("pk"), Sum("live"), Sum("monthly_cost")
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


class SendingCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        status = gather()
        for name, told, value in _sending(status):
            yield GaugeMetricFamily(f"smsproxy_{name}", told, value=value)
        trouble = GaugeMetricFamily(
            "smsproxy_trouble", "1: this kind of trouble needs a person, as relay --status says.", labels=["kind"]
        )
        for kind in Trouble:
            trouble.add_metric([kind], kind in status.troubles)
        yield trouble


def _sending(status: Status) -> Iterator[tuple[str, str, float]]:
    texts = status.texts
    oldest = (status.at - texts.oldest_queued_at).total_seconds() if texts.oldest_queued_at else 0
    most = f"Counting ends at {MOST}"
    yield "texts_queued", f"Texts that wait to be sent. {most}.", texts.queued
    yield "texts_ready", f"Of those, the ones that wait for nothing but a worker. {most}.", texts.ready
    yield "texts_in_flight", f"Texts for which the carrier is being called. {most}.", texts.in_flight
    yield "texts_unknown", f"Texts that were perhaps sent. {most}.", texts.unknown
    yield "texts_undecided", f"Of those, the ones that wait for staff. {most}.", texts.undecided
    yield "oldest_queued_text_age_seconds", "How long the oldest text has waited. 0: none waits.", max(oldest, 0)
    yield "account_paused", "1: all sending is paused.", status.account.is_paused
    yield "workers_alive", "Workers that have given a sign of life.", sum(each.is_alive for each in status.workers)

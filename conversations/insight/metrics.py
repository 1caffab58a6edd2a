"""GET /metrics: metrics of the pool and of sending, for Prometheus.

Each request reads the database, and no process keeps counters of its own. The figures are therefore right whichever
process or machine answers. Labels are pools, countries, states and hosts, never a person's number or a virtual number.
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

from conversations.insight.collect_status import collect_status
from conversations.insight.status import MAX_COUNT, Status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import KINDS
from numbers.models import RealNumber, ShortageCount, VirtualNumber

Figures = dict[tuple[str, ...], float]
Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)

# The common pool has an empty name, which no other pool can have.
_BY_POOL = "by pool (empty: the common pool) and country"
_NUMBERS = f"Virtual numbers, {_BY_POOL}, and state."
_LIVE = f"Live pairs of a person and a virtual number, open or cooling down, {_BY_POOL}."
_COST = f"Monthly cost of the rented numbers in EUR, without numbers of unknown cost, {_BY_POOL}."
_SKEW = "Seconds by which the clock of a host is ahead of the database's. Negative: behind. PostgreSQL only."
_SHORTAGES = f"Conversations that were not created because no number was free, {_BY_POOL} of the person."


class Metrics(APIView):
    """The metrics in the format that the Accept header asks for."""

    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        for collector in (PoolCollector(), SendingCollector()):
            registry.register(collector)
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except TypeError:  # The Accept header asks for a version that does not exist.
            encode, content_type = choose_encoder("")
        return HttpResponse(encode(registry), content_type=content_type)


class PoolCollector(Collector):
    """Numbers, live pairs, costs and shortages of each pool and country."""

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


class SendingCollector(Collector):
    """The queue, the account and the workers, from the same status as `manage.py status`."""

    def collect(self) -> Iterable[Metric]:
        status = collect_status()
        for name, told, value in _sending(status):
            yield GaugeMetricFamily(f"smsproxy_{name}", told, value=value)
        opted_out = RealNumber.objects.opted_out().count()
        yield GaugeMetricFamily("smsproxy_opted_out_people", "People who have opted out with STOP.", value=opted_out)
        begun = {trouble.kind: trouble.since for trouble in current.note(status)}
        trouble = GaugeMetricFamily(
            "smsproxy_trouble", "1: a trouble of this kind is active, as in status.", labels=["kind", "severity"]
        )
        since = GaugeMetricFamily(
            "smsproxy_trouble_began_timestamp_seconds", "When each active trouble began, Unix time.", labels=["kind"]
        )
        for kind, about in KINDS.items():
            trouble.add_metric([kind, about.severity], kind in begun)
        for kind, moment in begun.items():
            since.add_metric([kind], moment.timestamp())
        yield trouble
        yield since
        skew = GaugeMetricFamily("smsproxy_clock_skew_seconds", _SKEW, labels=["host"])
        for clock in status.clocks:
            skew.add_metric([clock.host], clock.skew)
        yield skew


def _sending(status: Status) -> Iterator[tuple[str, str, float]]:
    texts = status.texts
    oldest = (status.at - texts.oldest_queued_at).total_seconds() if texts.oldest_queued_at else 0
    most = f"Counted up to {MAX_COUNT}"
    yield "messages_queued", f"Messages waiting to be sent. {most}.", texts.queued
    yield "messages_ready", f"Queued messages that only wait for a worker. {most}.", texts.ready
    yield "messages_in_flight", f"Messages for which a request to the carrier is in flight. {most}.", texts.in_flight
    yield "messages_unknown", f"Messages with an unknown outcome. {most}.", texts.unknown
    yield (
        "messages_awaiting_decision",
        f"Messages with an unknown outcome that need a decision by staff. {most}.",
        texts.undecided,
    )
    yield (
        "oldest_queued_message_age_seconds",
        "Age of the oldest queued message in seconds. 0: the queue is empty.",
        max(oldest, 0),
    )
    yield "unreadable_rows", f"Rows that no key of ENCRYPTION_KEYS can decrypt. {most}.", status.unreadable
    yield (
        "conversations_held",
        f"Open conversations on hold, whose messages are not passed on. {most}.",
        status.held_conversation_count,
    )
    yield "spent_today_euros", "Cost of the messages of this UTC day in EUR.", float(status.budget.spent)
    yield "daily_budget_euros", "EUR that this UTC day may cost. 0: no limit.", float(status.budget.budget or 0)
    yield "account_paused", "1: all sending is paused.", status.account.is_paused
    yield "workers_alive", "Workers with a recent heartbeat.", sum(each.is_alive for each in status.workers)

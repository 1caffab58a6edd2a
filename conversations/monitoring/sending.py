"""Metrics of the queue, the account, the workers and the troubles."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from conversations.insight.collect_status import collect_status
from conversations.insight.status import MAX_COUNT, Status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import KINDS
from conversations.models import NumberRateLimit
from numbers.models import RealNumber

_SKEW = "Seconds by which the clock of a host is ahead of the database's. Negative: behind. PostgreSQL only."


class SendingCollector(Collector):
    """The queue, the account and the workers, from the same status as `manage.py status`."""

    def collect(self) -> Iterable[Metric]:
        status = collect_status()
        for name, told, value in _sending(status):
            yield GaugeMetricFamily(f"smsproxy_{name}", told, value=value)
        opted_out = RealNumber.objects.opted_out()[:MAX_COUNT].count()
        told = f"People who have opted out with STOP. Counted up to {MAX_COUNT}."
        yield GaugeMetricFamily("smsproxy_opted_out_people", told, value=opted_out)
        paused = NumberRateLimit.objects.paused().count()
        yield GaugeMetricFamily("smsproxy_numbers_paused", "Virtual numbers that are paused.", value=paused)
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

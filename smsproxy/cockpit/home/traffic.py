"""The figures of the last hours on the first page: texts, delivery and latency. They come from samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from conversations.insight.hourly_figures import Figures, Hour, last_hours, together
from conversations.insight.sampling import DELIVERED, FAILED, RECEIVED, SENT, TO_CARRIER, TO_PHONE
from smsproxy.cockpit.home import words
from smsproxy.cockpit.home.charts import NARROW, Bars, Lines, Pair, bars, lines, percent_scale, time_scale

HOURS = 48
TOTAL_OF = 24
# Of the median and of nearly all. Their names are also in docs/dashboard.md.
_PARTS = (("p50", 0.5), ("p95", 0.95))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table beside the charts: the newest hour first."""

    hour: Hour
    received: int
    sent: int
    delivered: int
    failed: int
    rate: str
    to_carrier: Sequence[str]
    to_phone: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long a step takes: of the last day in words, and by hour."""

    name: str
    title: Any
    about: Any
    quantiles: Sequence[tuple[str, str]]
    chart: Lines


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The texts of the last hours. received, sent …: of the last TOTAL_OF hours. is_known: there is a sample."""

    is_known: bool
    has_gaps: bool
    received: int
    sent: int
    delivered: int
    failed: int
    rate: str
    texts: Bars
    narrow_texts: Bars
    rates: Lines
    latencies: Sequence[Latency]
    rows: Sequence[Row]

    hours, total_of = HOURS, TOTAL_OF


def collect(now: datetime) -> Traffic:
    """Read the samples of the last HOURS, with one query."""
    hours = last_hours(now, HOURS)
    total = together(hours[-TOTAL_OF:])
    pairs = [_pair(hour) for hour in hours]
    return Traffic(
        is_known=any(hour.is_known for hour in hours),
        has_gaps=any(not hour.is_complete for hour in hours),
        received=total.count(RECEIVED),
        sent=total.count(SENT),
        delivered=total.count(DELIVERED),
        failed=total.count(FAILED),
        rate=words.percent(total.delivery_rate),
        texts=bars(pairs),
        narrow_texts=bars(pairs, NARROW),
        rates=lines([hour.at for hour in hours], [("", [hour.delivery_rate for hour in hours])], percent_scale()),
        latencies=[
            _latency(
                TO_CARRIER,
                _("From webhook to carrier"),
                _("From the arrival of a text to the carrier’s acceptance of its relay: our own part."),
                hours,
                total,
            ),
            _latency(
                TO_PHONE,
                _("From carrier to phone"),
                _("From the carrier’s acceptance to its delivery receipt: the part of the networks and the phones."),
                hours,
                total,
            ),
        ],
        rows=[_row(hour) for hour in reversed(hours)],
    )


def _pair(hour: Hour) -> Pair:
    received, sent = hour.count(RECEIVED), hour.count(SENT)
    at = f"{hour.at:%H:%M} UTC"
    if not hour.is_known:
        title = _("%(hour)s: not counted, because no worker ran") % {"hour": at}
    elif hour.is_complete and not hour.is_present:
        title = _("%(hour)s: %(received)s in, %(sent)s out") % {"hour": at, "received": received, "sent": sent}
    else:
        title = _("%(hour)s: %(received)s in, %(sent)s out, not the whole hour") % {
            "hour": at,
            "received": received,
            "sent": sent,
        }
    is_whole = hour.is_complete and not hour.is_present
    return Pair(hour.at, received, sent, hour.is_known, is_whole, title)


def _latency(name: str, title: str, about: str, hours: Sequence[Hour], total: Figures) -> Latency:
    figures = []
    for label, part in _PARTS:
        found = [hour.quantile(name, part) for hour in hours]
        figures.append((label, [None if each is None else each.seconds for each in found]))
    values = [value for _, series in figures for value in series if value is not None]
    return Latency(
        name=name,
        title=title,
        about=about,
        quantiles=[(label, words.quantile(total.quantile(name, part))) for label, part in _PARTS],
        chart=lines([hour.at for hour in hours], figures, time_scale(values, words.duration)),
    )


def _row(hour: Hour) -> Row:
    return Row(
        hour=hour,
        received=hour.count(RECEIVED),
        sent=hour.count(SENT),
        delivered=hour.count(DELIVERED),
        failed=hour.count(FAILED),
        rate=words.percent(hour.delivery_rate),
        to_carrier=[words.quantile(hour.quantile(TO_CARRIER, part)) for _, part in _PARTS],
        to_phone=[words.quantile(hour.quantile(TO_PHONE, part)) for _, part in _PARTS],
    )

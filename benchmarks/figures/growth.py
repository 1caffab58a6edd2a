"""The cost of deletion: rows deleted per second from 20 million messages, and the latencies while that goes on.

The deletion runs in another process, as a worker runs it: a pass each second. One connection receives and claims
messages at a steady rate, first without it and then beside it.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.db import connection
from django.db.models import Model

from benchmarks.http_load import percentile
from benchmarks.report import Measured
from benchmarks.settled import write_settled
from benchmarks.stack import Bench
from benchmarks.traffic import Line
from conversations.delivery.claim import claim
from conversations.intake import receive
from conversations.models import (
    DeliveryReceipt,
    InboundMessage,
    MessageEvent,
    OutboundMessage,
    Participant,
)
from conversations.retention.delete_rows import OldRows, delete_batch
from conversations.retention.rules import RULES, Rule
from smsproxy.carriers.base import InboundText

MESSAGES = 10_000_000  # inbound, and as many outbound
DAY = 24 * 3600
RATE = 50
SECONDS = 30
TABLES = (MessageEvent, DeliveryReceipt, OutboundMessage, InboundMessage)


def measure(bench: Bench) -> Measured:
    write_settled(bench.some(MESSAGES))
    return measure_written(seconds=bench.some(SECONDS))


def measure_written(*, seconds: float) -> Measured:
    """Measure with the messages that are in the database."""
    alone = _latencies(seconds, "alone")
    with _deleting():
        beside = _latencies(seconds, "beside")
    settings.MESSAGE_RETENTION_SECONDS = settings.EVENT_RETENTION_SECONDS = 200 * DAY
    rates = {rule.model.__name__: _per_second(rule, seconds) for rule in RULES if rule.model in TABLES}
    idle = _milliseconds(OldRows(rules=[rule for rule in RULES if rule.model not in TABLES]))
    vacuum = {model.__name__: _milliseconds(partial(_vacuum, model)) / 1000 for model in TABLES}
    names = {"inbound_p99": 0, "claim_p99": 1}
    return Measured(
        values={
            **{name: beside[place][1] for name, place in names.items()},
            **{f"{name}_alone": alone[place][1] for name, place in names.items()},
            "messages": rates["OutboundMessage"],
            "events": rates["MessageEvent"],
        },
        details={
            "rows deleted per second": rates,
            "p50, p99 ms of inbound and of claims, alone": alone,
            "the same while deleting": beside,
            "ms of a pass over the small tables": idle,
            "s of VACUUM afterwards": vacuum,
        },
    )


def _per_second(rule: Rule, seconds: float) -> float:
    """Delete for some seconds without a rest, and return the rows deleted per second."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        batch = delete_batch(rule)
        count += batch.deleted
        if not batch.is_full:
            break
    return count / (time.perf_counter() - began)


def _latencies(seconds: float, name: str) -> list[tuple[float, float]]:
    """Receive and claim messages, RATE per second. Return the median and p99 in milliseconds of each."""
    lines = [
        Line(participant.real_number.number, participant.proxy_number.number)
        for participant in Participant.objects.select_related("real_number", "proxy_number").order_by("pk")[:300]
    ]
    times: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    for index in range(int(seconds * RATE)):
        time.sleep(max(0.0, began + index / RATE - time.perf_counter()))
        line = lines[index % len(lines)]
        text = InboundText(
            carrier_message_id=f"{name}-{index}", sender=line.sender, recipient=line.proxy, text=f"on my way {index}"
        )
        times[0].append(_milliseconds(partial(receive.receive, text)))
        times[1].append(_milliseconds(partial(claim, 20)))
    OutboundMessage.objects.filter(state="sending").update(state="sent", lease_until=None)
    return [(percentile(each, 50), percentile(each, 99)) for each in times]


@contextmanager
def _deleting() -> Iterator[None]:
    connection.close()
    process = multiprocessing.get_context("fork").Process(target=_delete, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _delete() -> None:
    settings.MESSAGE_RETENTION_SECONDS = settings.EVENT_RETENTION_SECONDS = 300 * DAY
    job = OldRows()
    while True:
        job()
        time.sleep(1.0)


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _vacuum(model: type[Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM {model._meta.db_table}")

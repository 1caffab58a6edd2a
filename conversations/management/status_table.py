"""Format the status of sending as tables. They contain virtual numbers, and nothing about people."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from conversations.insight.status import (
    MAX_COUNT,
    Account,
    BlockedNumber,
    ClockStatus,
    FailedTopUp,
    QueueCounts,
    Status,
    StuckOrder,
    WorkerStatus,
    format_count,
)
from conversations.insight.troubles.current import ActiveTrouble
from smsproxy.text_table import table

_UNITS = [("days", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))]


def lines(status: Status, troubles: Sequence[ActiveTrouble]) -> Iterator[str]:
    """Yield the lines of the status and of the active troubles."""
    if troubles:
        yield "TROUBLES, the critical ones first"
        for trouble in troubles:
            since = f"since {trouble.since:%Y-%m-%d %H:%M} UTC, for {_format_duration(status.at - trouble.since)}"
            yield f"  {trouble.kind} ({trouble.severity}) {since}"
            yield f"    {trouble.sentence}"
            yield f"    What to do: {trouble.action} See {trouble.docs}"
        yield ""
    yield from _sending(status.account, status)
    yield f"BUDGET {status.budget}{': reached, nothing is sent' if status.budget.is_reached else ''}"
    yield ""
    yield "MESSAGES"
    yield from table(_texts(status.texts, status))
    if status.waiting_numbers:
        yield ""
        yield "NUMBERS that are paused or in quarantine"
        yield from table([_number(number, status) for number in status.waiting_numbers])
        if more := status.waiting_number_count - len(status.waiting_numbers):
            yield f"  and {more} more"
    if status.top_ups:
        yield ""
        yield "TOP-UPS that failed to buy"
        yield from table([_top_up(rule, status) for rule in status.top_ups])
    if status.stuck_orders:
        yield ""
        yield "ORDERS of numbers that cannot go on"
        yield from table([_stuck_order(order, status) for order in status.stuck_orders])
    yield ""
    yield "POOL"
    yield from table(_pool(status))
    yield ""
    yield "CONVERSATIONS"
    yield from table([["on hold", f"{format_count(status.held_conversation_count):>6}", ""]])
    yield ""
    yield "WORKERS"
    yield from table([_worker(worker, status) for worker in status.workers] or [["none"]])
    if status.clocks:
        yield ""
        yield "CLOCKS of the hosts"
        yield from table([_clock(clock, status) for clock in status.clocks])


def _sending(account: Account, status: Status) -> Iterator[str]:
    if account.since is None or account.next_probe_at is None:
        yield "SENDING is stopped by the daily budget" if status.budget.is_reached else "SENDING is active"
        return
    code = f" (code {account.code})" if account.code else ""
    yield (
        f"SENDING is paused since {account.since:%Y-%m-%d %H:%M:%S} UTC, "
        f"for {_format_duration(status.at - account.since)}: "
        f"{account.why}{code}"
    )
    if account.is_probing:
        probe = "a test message is in flight"
    elif account.next_probe_at > status.at:
        probe = f"a test message is sent in {_format_duration(account.next_probe_at - status.at)}"
    else:
        probe = "the next message is a test"
    tried = f"{account.failed_probes} tests failed" if account.failed_probes else "no test so far"
    yield f"  {probe}; {tried}"


def _texts(texts: QueueCounts, status: Status) -> list[list[str]]:
    oldest = f"the oldest for {_format_duration(status.at - texts.oldest_queued_at)}" if texts.oldest_queued_at else ""
    if texts.queued == MAX_COUNT:
        oldest += f"; of the first {MAX_COUNT:,}:"
    is_stopped = status.account.is_paused or status.budget.is_reached
    when = "sending resumes" if is_stopped else "a worker and CARRIER_REQUESTS_PER_SECOND allow"
    rows = [
        ("queued", texts.queued, oldest),
        ("  ready", texts.ready, f"sent as soon as {when}, in order for each person"),
        ("  rate", texts.behind_their_rate, "waiting for the rate of their number"),
        ("  number", texts.behind_a_wait, "waiting with a paused number"),
        ("  backoff", texts.backing_off, "refused for now by the carrier, retried automatically"),
        ("in flight", texts.in_flight, "requests to the carrier in progress"),
        ("unknown", texts.unknown, f"unknown whether sent; need a decision by staff: {format_count(texts.undecided)}"),
    ]
    return [[name, f"{format_count(count):>6}", told] for name, count, told in rows]


def _number(number: BlockedNumber, status: Status) -> list[str]:
    if number.since is None or number.until is None:
        told = "gets no new conversations"
    elif number.until > status.at:
        paused, left = status.at - number.since, number.until - status.at
        told = f"paused for {_format_duration(paused)}, and {_format_duration(left)} more"
    else:
        told = "the next message is a test"
    return [number.number, number.state, f"{format_count(number.queued):>6} queued", told, number.why]


def _pool(status: Status) -> list[list[str]]:
    rows = [
        ("shortages", status.shortages.count, f"of the last hour; {status.shortages}"),
        ("retired", status.still_rented.count, f"and still rented: {status.still_rented}"),
    ]
    return [[name, f"{format_count(count):>6}", told if count else ""] for name, count, told in rows]


def _top_up(rule: FailedTopUp, status: Status) -> list[str]:
    again = f"retries in {_format_duration(rule.retry_at - status.at)}" if rule.retry_at else ""
    return [rule.pool, rule.country, rule.trouble, again]


def _stuck_order(order: StuckOrder, status: Status) -> list[str]:
    again = f"retries in {_format_duration(order.retry_at - status.at)}" if order.retry_at else ""
    return [f"order {order.order}", order.trouble, again]


def _worker(worker: WorkerStatus, status: Status) -> list[str]:
    if not worker.is_alive:
        return [worker.name, f"silent for {_format_duration(status.at - worker.seen_at)}", ""]
    if worker.trouble:
        return [worker.name, "sends nothing", worker.trouble]
    since = f"running for {_format_duration(status.at - worker.started_at)}"
    return [worker.name, since, f"{worker.in_flight} of {worker.concurrency} calls in flight"]


def _clock(clock: ClockStatus, status: Status) -> list[str]:
    measured = f"measured {_format_duration(status.at - clock.measured_at)} ago"
    return [clock.host, "wrong" if clock.is_wrong else "right", clock.difference, measured]


def _format_duration(duration: timedelta) -> str:
    for unit, length in _UNITS:
        if duration >= 2 * length:
            return f"{duration // length} {unit}"
    return f"{max(0, round(duration.total_seconds()))} s"

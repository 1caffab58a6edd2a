"""Troubles of our processes: workers, clocks, keys, and versions of code and database."""

from collections.abc import Iterator, Sequence

from conversations.insight.status import Status, WorkerStatus, format_count
from conversations.insight.troubles.kinds import Trouble
from smsproxy.database.activity import TOO_OLD


def find(status: Status) -> Iterator[tuple[Trouble, str]]:
    """Yield each active trouble with a sentence that says what is wrong."""
    alive = [worker for worker in status.workers if worker.is_alive]
    if not alive and status.texts.queued:
        yield Trouble.NO_WORKER, "Messages are queued but no worker is running. Start manage.py relay."
    elif not alive and status.has_messages:
        yield Trouble.NO_WORKER, "No worker is running, so the next message will wait. Start manage.py relay."
    elif unreplaced := _unreplaced(status.workers):
        yield (
            Trouble.WORKER_GONE,
            f"Workers that stopped without signing off: {len(unreplaced)}. {unreplaced[-1].name} was last seen at "
            f"{unreplaced[-1].seen_at:%Y-%m-%d %H:%M} UTC.",
        )
    if in_trouble := [worker for worker in alive if worker.trouble]:
        yield (
            Trouble.WORKER_WAITS,
            f"Workers that send nothing: {len(in_trouble)}. {in_trouble[0].name}: {in_trouble[0].trouble}.",
        )
    if wrong := [clock for clock in status.clocks if clock.is_wrong]:
        yield (
            Trouble.CLOCK,
            f"Hosts with a wrong clock: {len(wrong)}. The clock of {wrong[0].host} is {wrong[0].difference}. "
            "Synchronise it, with chrony for example.",
        )
    if status.unreadable:
        yield (
            Trouble.UNREADABLE,
            f"Rows that cannot be decrypted: {format_count(status.unreadable)}. Add the key that encrypted them to "
            "ENCRYPTION_KEYS, after the current one, and restart all processes.",
        )
    longest = status.longest_transaction
    if longest and longest.seconds > TOO_OLD:
        yield (
            Trouble.LONG_TRANSACTION,
            f"A database transaction has been open for {longest.seconds // 60:.0f} minutes: "
            f"{longest.application or 'unnamed'}, pid {longest.pid or 'none'}, {longest.state}.",
        )
    if status.migrations:
        yield Trouble.MIGRATIONS, status.migrations
    versions = {status.version, *(worker.version for worker in alive)} - {""}
    if len(versions) > 1:
        yield (
            Trouble.VERSIONS,
            f"Workers and this process run different versions: {', '.join(sorted(versions))}.",
        )


def _unreplaced(workers: Sequence[WorkerStatus]) -> list[WorkerStatus]:
    """Return the silent workers that no start has replaced, the one that is silent for longest first.

    A start replaces the one that is silent for longest. So does the start of a worker that is silent itself today.
    """
    starts = [(worker.started_at, None) for worker in workers]
    ends = [(worker.seen_at, worker) for worker in workers if not worker.is_alive]
    waiting: list[WorkerStatus] = []
    for _, gone in sorted([*starts, *ends], key=lambda event: event[0]):
        waiting = [*waiting, gone] if gone else waiting[1:]
    return waiting
